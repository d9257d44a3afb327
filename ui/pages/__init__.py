"""The Gradio pages: what a person sees in a browser, and what happens when they press a button."""
