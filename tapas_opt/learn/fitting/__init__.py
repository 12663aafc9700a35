"""Where models are fitted: the only place that needs pandas and scikit-learn."""
