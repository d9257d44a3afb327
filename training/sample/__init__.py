"""The sample corpus, as rows and as papers."""
