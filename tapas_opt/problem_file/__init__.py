"""Problems and plans as JSON files, so that what was met in production can be solved and judged again at a desk."""
