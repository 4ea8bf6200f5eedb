"""The typed config: the one place that says what may be configured, with units and sources.

``config.yaml`` holds the published experiment; ``workflow/scales/<scale>.yaml`` is laid over it; files given by
``--configfile`` and values given by ``--config`` over both. ``parse_config`` turns the merged mapping into a
`Config` or raises a `UserError` that names each faulty key by its full path. The JSON schema in
``workflow/schemas/`` is generated from these classes.
"""

from segrepro.config.experiment import Config
from segrepro.config.parsing import in_order_of, json_schema, parse_config
from segrepro.config.spec import model_spec

__all__ = ["Config", "in_order_of", "json_schema", "model_spec", "parse_config"]
