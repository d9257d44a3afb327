"""What a person sees: the command line and the page. Knows how to show; not how anything is done."""
