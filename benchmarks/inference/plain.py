"""The plain server for comparison: eager float32, one picture at a time, in the event loop, with FastAPI.

It has the same weights and resizing as our service, and does not identify pictures that the gate rejects either. The
differences are the engine, batching and threads.
"""

from __future__ import annotations

import argparse
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, UploadFile

from cetacean_inference.decision import decide
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.pipeline import load_pipeline
from cetacean_inference.settings import EngineSettings, load_settings


def create_app() -> FastAPI:
    """Create the application with its model loaded."""
    settings = load_settings(engine=EngineSettings(name="torch-eager", device="cpu"))
    pipeline = load_pipeline(settings)
    app = FastAPI()

    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/predict-single")
    async def predict_single(file: Annotated[UploadFile, File()]) -> Any:
        image = decode(await file.read(), settings.images)
        (scores,) = pipeline.predict([pipeline.prepare(image)], threshold=settings.gate.threshold)
        return decide(
            scores,
            threshold=settings.gate.threshold,
            image_ind=file.filename or "",
            size=image.size,
            model_version=settings.model.version,
        )

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(create_app(), host="127.0.0.1", port=parser.parse_args().port, log_level="warning", access_log=False)
