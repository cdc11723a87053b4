"""A real browser opens the demo's page through Millrace, sees prices move, and survives the loss of its server."""

from browser import Browser
from lab import net
from support import LabTest


class DemoPage(LabTest):
    def test_prices_move_and_come_back_after_the_loss_of_the_server(self):
        page = Browser(self.lab, self.lab.clients, f"http://{net.BALANCER}/")
        self.addCleanup(page.close)
        page.wait_for("+document.getElementById('updates').textContent > 4", 30)
        self.assertEqual(page.evaluate("document.getElementById('shares').rows.length"), 6)
        price = page.evaluate("document.querySelector('#shares .price').textContent")
        page.wait_for(f"document.querySelector('#shares .price').textContent != '{price}'")
        page.wait_for("document.getElementById('latency').textContent != '–'")
        server = page.evaluate("document.getElementById('server').textContent")
        self.assertIn(server, self.server_names)

        self.servers[server].kill()
        page.wait_for("document.getElementById('reconnects').textContent == '1'")
        page.wait_for(f"document.getElementById('server').textContent != '{server}'")
