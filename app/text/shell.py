"""Words around the pages: header, start of the server, health."""

PRODUCT = "Bitdial"
NAVIGATION = "Pages"
SKIP = "Skip to content"
TOGGLE_DARK = "Switch between light and dark"

PORT_IN_USE = (
    "port {port} on {host} is in use; free it, or choose another with BITDIAL_PORT or --port"
)
HOST_UNKNOWN = "{host} is not an address of this machine; set BITDIAL_HOST or --host to 127.0.0.1"
HOST_OPEN = (
    "refusing to listen on {host}: there is no sign-in yet, so anyone who reaches this machine "
    "could start runs; set BITDIAL_HOST to 127.0.0.1 and put a proxy with a sign-in before it"
)
LISTENING = "Bitdial listens on http://{host}:{port}"
