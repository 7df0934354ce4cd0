"""uploader for trainers: wrappers, a callback, notebooks, and questions on a terminal."""
