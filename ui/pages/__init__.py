"""The Gradio pages: one file a page lays it out; what it shows and does comes from `ui.desk`."""
