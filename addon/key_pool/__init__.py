"""How the addon asks the pool: in process or over HTTP."""
