"""The one trainer that search, scaling and retraining share."""
