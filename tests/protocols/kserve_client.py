"""KServe's own client against a server, in KServe's own environment: prints what it got as JSON.

Arguments: address, model.
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(address: str, model: str) -> None:
    """Ask everything that the client can ask of protocol v2."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30, retries=1))
    told = {
        "live": await client.is_server_live(address),
        "ready": await client.is_server_ready(address),
        "model_ready": await client.is_model_ready(address, model),
        "predictions": {},
    }
    rows = np.arange(20.0).reshape(2, 10) / 8
    for binary in (False, True):
        for name, arrays in {"matrix": {"rows": rows}, "columns": {f"x{at}": rows[:, at] for at in range(10)}}.items():
            inputs = [InferInput(each, list(array.shape), "FP64") for each, array in arrays.items()]
            for each, array in zip(inputs, arrays.values(), strict=True):
                each.set_data_from_numpy(array, binary_data=binary)
            request = InferRequest(model, inputs, request_id="7", parameters={"binary_data_output": binary})
            response = await client.infer(address, request, model_name=model)
            told["predictions"][f"{name} {binary}"] = [response.id, response.outputs[0].as_numpy().tolist()]
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
