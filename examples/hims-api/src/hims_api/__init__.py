"""hims-api: appointments and patient summaries of AROCORD-HIMS over HTTP."""
