"""What the pages ask of the front door, and the HTML that shows it. Knows no Gradio and no HTTP."""
