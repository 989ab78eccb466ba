"""What connects Runfold to other libraries; each part is imported only by who uses it."""
