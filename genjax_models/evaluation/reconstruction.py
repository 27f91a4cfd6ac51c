"""The error of an autoencoder's reconstructions of held-out data."""

from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.autoencoder import AutoencoderModel
from genjax_models.objectives.autoencoder import squared_error
from genjax_models.types import Array, PRNGKey, Variables


def held_out_error(
    model: AutoencoderModel, variables: Variables, key: PRNGKey, x: Array, *, batch_size: int = 500
) -> dict[str, Array]:
    """Returns the "squared_error" |x - g(f(x))|^2 of each example, `[n]`, without random draws."""
    check_examples(model, x)

    def one(_, x: Array) -> Array:
        x = x[None]
        return squared_error(x, model.generate(variables, model.encode(variables, x)))[0]

    return {"squared_error": map_examples(one, key, x, batch_size=batch_size)}
