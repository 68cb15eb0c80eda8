"""Drives a monitor with Ganeti's QMP client: argv is Ganeti's folder and the socket. Prints what came back as JSON.

Only the client's own file is loaded; of the modules that it imports it gets what it uses of them here.
"""
import importlib.util
import json
import sys
import types


def module(name, **members):
    made = types.ModuleType(name)
    made.__dict__.update(members)
    sys.modules[name] = made
    return made


class HypervisorError(Exception):
    pass


class ProgrammerError(Exception):
    pass


share, path = sys.argv[1:]
module("bitarray", bitarray=None)
module(
    "ganeti",
    errors=module("ganeti.errors", HypervisorError=HypervisorError, ProgrammerError=ProgrammerError),
    utils=module("ganeti.utils"),
    constants=module("ganeti.constants"),
    serializer=module(
        "ganeti.serializer", LoadJson=json.loads, DumpJson=lambda data: json.dumps(data).encode()
    ),
)
spec = importlib.util.spec_from_file_location("monitor", share + "/ganeti/hypervisor/hv_kvm/monitor.py")
monitor = importlib.util.module_from_spec(spec)
spec.loader.exec_module(monitor)

seen = {}
# These two connect and hang up by themselves.
monitor.QmpConnection(path).ContinueGuestEmulation()
with monitor.QmpConnection(path) as qmp:
    seen["version"] = qmp.version
    seen["package"] = qmp.package
    seen["running"] = qmp.Execute("query-status")["status"]
monitor.QmpConnection(path).StopGuestEmulation()
with monitor.QmpConnection(path) as qmp:
    seen["stopped"] = qmp.Execute("query-status")["status"]
    qmp.Execute("balloon", {"value": 56 << 20})
    seen["actual"] = qmp.Execute("query-balloon")["actual"]
    for command, arguments in (("balloon", {"value": "much"}), ("migrate", None)):
        try:
            qmp.Execute(command, arguments)
        except Exception as error:
            seen[command] = type(error).__name__ + ": " + str(error)
    qmp.Execute("quit")
print(json.dumps(seen))
