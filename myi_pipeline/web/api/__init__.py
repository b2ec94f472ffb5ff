"""The JSON API: routes, parameters, response models and the OpenAPI document."""
