"""Description of the prediction service in OpenAPI 3.1."""

from typing import Any

import litehrnet
from litehrnet.serving.photos import MOST_SCANS, Limits

_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_PERSON: dict[str, tuple[dict[str, Any], str]] = {
    "image_id": ({"type": "integer"}, "Always 1: a request has one photo."),
    "category_id": ({"type": "integer"}, "Always 1."),
    "file_name": ({"type": "string"}, "Name of the file in the form, or image."),
    "bbox": ({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}, "x, y, width, height."),
    "keypoints": ({"type": "array", "items": {"type": "number"}}, "x, y and score of each keypoint, in turn."),
    "score": ({"type": "number"}, "Box score times the mean of the keypoint scores above 0.2."),
}


def describe_service(limits: Limits, *, with_token: bool) -> dict[str, Any]:
    """Describe the service, as values for JSON.

    Args:
        limits: Limits that the description states.
        with_token: Whether ``/predict`` and ``/metrics`` need a token.
    """
    secured: dict[str, Any] = {"security": [{"token": []}]} if with_token else {}
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if with_token else {}
    person = {name: {**schema, "description": text} for name, (schema, text) in _PERSON.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "litehrnet",
            "version": litehrnet.__version__,
            "summary": "People and their keypoints in photos.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/predict": {"post": _describe_predict(limits) | secured},
            "/healthz": {"get": _describe_get("Whether the service answers.", "application/json")},
            "/metrics": {"get": _describe_get("Counters in Prometheus' text format.", "text/plain") | secured},
        },
        "components": {
            "schemas": {
                "Person": {"type": "object", "required": list(person), "properties": person},
                "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
            },
            **schemes,
        },
    }


def _describe_predict(limits: Limits) -> dict[str, Any]:
    file = {"type": "string", "format": "binary", "contentMediaType": "image/*"}
    form = {"schema": {"type": "object", "required": ["image"], "properties": {"image": file}}}
    people = {"type": "array", "items": {"$ref": "#/components/schemas/Person"}}
    errors = {
        400: "The body is not a complete image, or not a form with one file.",
        401: "The token is missing or wrong.",
        408: f"The upload took more than {limits.seconds:g} s.",
        413: f"The body has more than {limits.body_bytes} bytes, the photo more than {limits.pixels} pixels, or the "
        f"JPEG more than {MOST_SCANS} scans.",
        421: "The Host header names another host.",
        503: f"{limits.waiting} photos are waiting, or the photo was not computed within {limits.seconds:g} s.",
    }
    return {
        "operationId": "predict",
        "summary": "Find people and their keypoints in a photo.",
        "requestBody": {
            "required": True,
            "description": "The photo: JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF.",
            "content": {"image/*": {}, "application/octet-stream": {}, "multipart/form-data": form},
        },
        "responses": {
            "200": {
                "description": "One entry per person, in COCO's results format.",
                "content": {"application/json": {"schema": people}},
            },
            **{str(status): {"description": text, "content": _ERROR} for status, text in errors.items()},
        },
    }


def _describe_get(summary: str, content_type: str) -> dict[str, Any]:
    answer = {"description": summary, "content": {content_type: {}}}
    return {"summary": summary, "responses": {"200": answer}}
