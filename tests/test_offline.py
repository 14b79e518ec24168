"""Without any network but loopback: demo, file run, service and review page work.

Everything runs in a network namespace of its own (`unshare`), in which there is no other machine to reach, so
it holds for libraries and for the browser too, whichever way they would open a connection.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_ALONE = ["unshare", "--map-root-user", "--net", "bash", "-euo", "pipefail", "-c"]
_SCRIPT = """
ip link set lo up
if curl -s -m 2 http://1.1.1.1 > /dev/null; then echo 'the network is not blocked'; exit 9; fi
onkokode code - < "$ROOT/examples/texts.txt" > demo.txt
printf 'Nr;Diagnosetext\\n1;Mamma-Ca links oben außen\\n' > in.csv
onkokode code-file in.csv out.csv
printf 'Prostata-Ca\\nCa\\n' > open.txt
onkokode review add open.txt --db list.sqlite
onkokode serve --port 8123 --review list.sqlite &
for _ in $(seq 120); do curl -fs http://127.0.0.1:8123/health/ready > /dev/null && break; sleep 1; done
curl -fs http://127.0.0.1:8123/v1/code -H 'Content-Type: application/json' -d '{"text": "Prostata-Ca"}' > answer.json
curl -fs http://127.0.0.1:8123/docs > docs.html
curl -fsL http://127.0.0.1:8123/review > review.html
if [ -n "$CHROMIUM" ]; then
  "$CHROMIUM" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$PWD/browser" --virtual-time-budget=20000 \
    --dump-dom http://127.0.0.1:8123/review > page.html 2> browser.log
fi
kill %1
wait %1
"""


def _alone(script: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_ALONE, script], capture_output=True, text=True, **options)  # type: ignore[call-overload]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_demo_file_service_and_page_without_a_network(tmp_path: Path) -> None:
    if (
        shutil.which("unshare") is None
        or shutil.which("ip") is None
        or _alone("ip link set lo up").returncode
    ):
        pytest.skip("no network namespaces here (unshare, iproute2)")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ROOT": str(ROOT), "CHROMIUM": shutil.which("chromium") or ""}
    done = _alone(_SCRIPT, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
    read = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in tmp_path.glob("*.*")}
    assert "C34.1" in read["demo.txt"]
    assert "C50.4" in read["out.csv"]
    assert '"C61"' in read["answer.json"]
    assert "/v1/code" in read["docs.html"]
    assert "Onkokode" in read["review.html"]
    if "page.html" in read:
        assert "Durchsicht" in read["page.html"]
