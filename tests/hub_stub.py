"""A server on this machine that plays the Hugging Face hub: what it is sent it keeps in memory, and gives out again."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 40


class Hub:
    """The repositories of the stub: name -> path -> content; ``asked`` lists the requests."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.forbidden: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: object = None, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self) -> None:
        self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    def do_GET(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        parts = self.path.partition("?")[0].strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if name not in self.hub.repositories:
            return self.missing()
        files = self.hub.repositories[name]
        if parts[0] == "api":
            siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
            tree = [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40} for path, content in files.items()
            ]
            return self.reply(tree if "tree" in parts else {"id": name, "sha": COMMIT, "siblings": siblings})
        content = files.get("/".join(parts[4:]))
        if content is None:
            return self.reply({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        tag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self.reply(content, ETag=tag, X_Repo_Commit=COMMIT, Content_Type="application/octet-stream")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") in (f"Bearer {token}" for token in self.hub.forbidden):
            return self.reply({"error": "You don't have the rights"}, 403)
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.hub.repositories.setdefault(name, {})
            return self.reply({"url": f"http://{self.headers['Host']}/{name}", "name": name})
        name = "/".join(path.strip("/").split("/")[2:4])
        if name not in self.hub.repositories:
            return self.missing()
        if "/preupload/" in path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for each in json.loads(body)["files"]
            ]
            return self.reply({"files": files})
        if "/commit/" in path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    self.hub.repositories[name][value["path"]] = base64.b64decode(value["content"])
            host = f"http://{self.headers['Host']}/{name}"
            return self.reply({"commitUrl": f"{host}/commit/{COMMIT}", "commitOid": COMMIT, "pullRequestUrl": None})
        return self.reply({"error": f"the stub has no {path}"}, 404)


@contextmanager
def serve_hub() -> Iterator[tuple[Hub, str]]:
    """Serve within the block; yield the hub and its address."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HandlerOfHub", (Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
