"""TLS for Airflow's asynchronous MySQL driver, which takes an object where others take a word of the URL.

Named by `[database] sql_alchemy_connect_args_async`. Encrypts as `ssl_mode=REQUIRED` does, without a look at the name.
"""

from __future__ import annotations

import ssl

_context = ssl.create_default_context()
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE

CONNECT_ARGUMENTS = {"ssl": _context}
