"""Files of rows in any common form, as rows of ours."""
