"""Networks judged on data: predictions, scores, protocols of evaluation, features and linear classifiers."""
