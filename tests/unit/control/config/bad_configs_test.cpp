// One mistake per row, made in the sample configuration, and exactly what the operator is told: every diagnostic with
// its line and column, without the file's name.
#include <gtest/gtest.h>

#include "sample.h"

namespace millrace::control {
namespace {

struct BadConfig {
    const char* from;
    const char* to;
    const char* expected;
};

// clang-format off
constexpr BadConfig bad_configs[] = {
    {R"(schema = 1)", R"(schema = 2)",
     R"(1:10: "schema" is 2; it must be 1)"},
    {R"(schema = 1)", R"(schema = "1")",
     R"(1:10: "schema" is a string; it must be an integer, 1)"},
    {R"(schema = 1)", "",
     R"(1:1: "schema" is missing in the file; add it, as schema = 1)"},
    {R"(schema = 1)", R"(schema =)",
     R"(1:9: TOML syntax: error while parsing key-value pair: expected value, saw '\n'; correct it (see https://toml.io/en/v1.0.0))"},
    {R"(schema = 1)", R"(schema = 1
schema = 1)",
     R"(2:10: TOML syntax: error while parsing key-value pair: cannot redefine existing integer 'schema'; correct it (see https://toml.io/en/v1.0.0))"},
    {R"(schema = 1)", R"(schema = 1
listeners = 3)",
     R"(2:1: unknown key "listeners" in the file; the nearest known key is "listener")"},
    {R"(schema = 1)", R"(schema = 1
backend = 3)",
     R"(32:1: TOML syntax: error while parsing table header: cannot redefine existing integer 'backend' as array-of-tables; correct it (see https://toml.io/en/v1.0.0))"},
    {R"(schema = 1)", R"(schema = 1
dataplane = [])",
     R"(3:1: TOML syntax: error while parsing table header: cannot redefine existing array 'dataplane' as table; correct it (see https://toml.io/en/v1.0.0))"},
    {R"([dataplane])", R"([dataplan])",
     R"(2:2: unknown key "dataplan" in the file; the nearest known key is "dataplane")"},
    {R"([dataplane])", R"([[dataplane]])",
     R"(2:1: "dataplane" is an array of tables; it must be a table)"},
    {R"(cores = [0, 1])", R"(cores = 2)",
     R"(3:9: "cores" is an integer; it must be an array of core numbers, as [2, 3])"},
    {R"(cores = [0, 1])", R"(cores = [])",
     R"(3:9: "cores" names 0 cores; name 1 to 64)"},
    {R"(cores = [0, 1])", R"(cores = [0, "1"])",
     R"(3:13: "cores" is a string; it must be an integer, 0 to 1023)"},
    {R"(cores = [0, 1])", R"(cores = [0, -1])",
     R"(3:13: "cores" is -1; it must be 0 to 1023)"},
    {R"(cores = [0, 1])", R"(cores = [1, 1])",
     R"(3:13: core 1 stands twice; name each core once)"},
    {R"(cores = [0, 1])", R"(cores = [0, 9])",
     R"(3:13: core 9 does not exist; this machine has cores 0 to 1)"},
    {R"(cores = [0, 1])", "cores = [0, 1]\nworkers = 3",
     R"(4:11: "workers" is 3, more than the 2 cores; name more "cores")"},
    {R"(cores = [0, 1])", R"(workers = 65)", R"(3:11: "workers" is 65; it must be 0 to 64)"},
    {R"(cores = [0, 1])", R"(shards = 12)",
     R"(3:10: "shards" is 12, which is no power of two; write 8 or 16)"},
    {R"(cores = [0, 1])", R"(cores = [0, 1]
shards = 1)",
     R"(4:10: "shards" is 1, fewer than the 2 cores; write at least 2)"},
    {R"(cores = [0, 1])", R"(relays_max = 0)",
     R"(3:14: "relays_max" is 0; it must be 1 to 67108864)"},
    {R"(cores = [0, 1])", R"(relays_max = 1.5)",
     R"(3:14: "relays_max" is a float; it must be an integer, 1 to 67108864)"},
    {R"(cores = [0, 1])", R"(chunk_memory = 64)",
     R"(3:16: "chunk_memory" is an integer; it must be a string with a unit, as "64KiB")"},
    {R"(cores = [0, 1])", R"(chunk_memory = "64 MB")",
     R"(3:16: "64 MB" is no size; write a whole number with B, KiB, MiB, GiB or TiB, as "64KiB")"},
    {R"(cores = [0, 1])", R"(chunk_memory = "64KiB")",
     R"(3:16: "chunk_memory" is "64KiB"; it must be 4MiB to 1TiB)"},
    {R"(cores = [0, 1])", R"(chunk_memory = "63MiB")",
     R"(3:16: "chunk_memory" is 63MiB and "shards" is 16, but each shard must have 4MiB to 512GiB; write at least 64MiB, or fewer shards)"},
    {R"(cores = [0, 1])", R"(shards = 128)",
     R"(3:10: "chunk_memory" is 256MiB and "shards" is 128, but each shard must have 4MiB to 512GiB; write at least 512MiB, or fewer shards)"},
    {R"(cores = [0, 1])", R"(shards = 1
chunk_memory = "513GiB")",
     R"(4:16: "chunk_memory" is 513GiB and "shards" is 1, but each shard must have 4MiB to 512GiB; write at most 512GiB, or more shards)"},
    {R"(cores = [0, 1])", R"(chunk_memory = "99999999999999TiB")",
     R"(3:16: "99999999999999TiB" is no size; write a whole number with B, KiB, MiB, GiB or TiB, as "64KiB")"},
    {R"(cores = [0, 1])", R"(idle_sleep = "20ms")",
     R"(3:14: "idle_sleep" is "20ms"; it must be 0s to 1ms)"},
    {R"(cores = [0, 1])", R"(huge_pages = 1)",
     R"(3:14: "huge_pages" is an integer; it must be true or false)"},
    {R"(cores = [0, 1])", R"(huge_page = true)",
     R"(3:1: unknown key "huge_page" in [dataplane]; the nearest known key is "huge_pages")"},
    {R"([control])", R"([control]
log_level = "verbose")",
     R"(5:13: "log_level" is "verbose"; it must be "error", "warning", "info" or "debug")"},
    {R"([control])", R"([control]
user = "")",
     R"(5:8: "user" is ""; it must be a user name)"},
    {R"([control])", R"([control]
[[control.admin_socket]]
mode = "0666")",
     R"(6:8: this mode lets every local user connect; use a group and "0660", or role = "viewer")"},
    {R"([control])", R"([control]
[[control.admin_socket]]
mode = "rw")",
     R"(6:8: "rw" is no file mode; write three or four octal digits up to "0777", as "0660")"},
    {R"([control])", R"([control]
[[control.admin_socket]]
mode = 660)",
     R"(6:8: "mode" is an integer; it must be a string, as "0660")"},
    {R"([control])", R"([control]
[[control.admin_socket]]
role = "root")",
     R"(6:8: "role" is "root"; it must be "viewer", "operator" or "admin")"},
    {R"([control])", R"([control]
[[control.admin_socket]]
[[control.admin_socket]]
role = "viewer")",
     R"(6:1: socket "admin.sock" exists already, on line 5; give it a path of its own)"},
    {R"(name = "front")", R"(nam = "front")",
     R"(5:1: "name" is missing in [[interface]]; add it, as name = "front"
6:1: unknown key "nam" in [[interface]]; the nearest known key is "name")"},
    {R"(name = "front")", R"(name = "front side")",
     R"(6:8: "name" is "front side"; it must be 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit)"},
    {R"(name = "front")", R"(name = "")",
     R"(6:8: "name" is ""; it must be 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit)"},
    {R"(name = "rear")", R"(name = "front")",
     R"(11:8: interface "front" exists already, on line 6; give it a name of its own)"},
    {R"(driver = "af_xdp")", R"(driver = "xdp")",
     R"(7:10: "driver" is "xdp"; it must be "af_xdp", "af_packet", "memif" or "pci")"},
    {R"(device = "eth1")", R"(device = "eth1,start_queue=1")",
     R"(8:10: "device" is "eth1,start_queue=1"; with this driver it must be the name of a kernel interface, as "eth1")"},
    {R"(device = "0000:3b:00.0")", R"(device = "eth2")",
     R"(13:10: "device" is "eth2"; with this driver it must be a PCI address, as "0000:3b:00.0")"},
    {R"(driver = "pci")", R"(driver = "memif")",
     R"(13:10: "device" is "0000:3b:00.0"; with this driver it must be the absolute path of a socket, as "/run/millrace/front.memif")"},
    {R"(driver = "pci"
device = "0000:3b:00.0")", R"(driver = "af_xdp"
device = "eth1")",
     R"(13:10: device "eth1" belongs to the interface on line 5 already; give each interface a device of its own)"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = "198.18.1.1/24")",
     R"(14:13: "addresses" is a string; it must be an array of addresses, as ["198.18.0.1/24"])"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = [])",
     R"(14:13: "addresses" holds 0 addresses; write 1 to 4096, as ["198.18.0.1/24"])"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = ["198.18.1.1", "198.18.1.1/24"])",
     R"(14:14: "198.18.1.1" is no address with a prefix length; write ADDRESS/LENGTH, as "198.18.0.1/24" or "2001:db8::1/64")"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = ["198.18.1.1/33", "198.18.1.1/24"])",
     R"(14:14: "198.18.1.1/33" is no address with a prefix length; write ADDRESS/LENGTH, as "198.18.0.1/24" or "2001:db8::1/64")"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = ["198.18.1.0/24", "198.18.1.1/24"])",
     R"(14:14: "198.18.1.0/24" is the network address of its network; write a host's, as one between 198.18.1.0 and 198.18.1.255)"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = ["224.0.0.1/24", "198.18.1.1/24"])",
     R"(14:14: "224.0.0.1/24" can't be the address of a host; write one of ours, as "198.18.0.1/24")"},
    {R"(addresses = ["198.18.1.1/24"])", R"(addresses = ["198.18.1.1/24", "198.18.0.1/24"])",
     R"(14:31: address 198.18.0.1 stands on line 9 already; give each address to one interface)"},
    {R"("198.18.1.1/24"])", R"("198.18.1.1/24", "198.18.0.9/24"])",
     R"(14:31: network 198.18.0.0/24 belongs to the interface of line 9 already; give each interface networks of its own)"},
    {R"(device = "eth1")", R"(device = "eth1"
vlan = 4095)",
     R"(9:8: "vlan" is 4095; it must be 0 to 4094)"},
    {R"(device = "eth1")", R"(device = "eth1"
mtu = 1000)",
     R"(9:7: "mtu" is 1000 on an interface with IPv6 addresses; write at least 1280)"},
    {R"(device = "eth1")", R"(device = "eth1"
mtu = 100)",
     R"(9:7: "mtu" is 100; it must be 576 to 9000)"},
    {R"(device = "eth1")", R"(device = "eth1"
queues = 1)",
     R"(9:10: "queues" is 1, fewer than the 2 cores; write at least 2, or 0 for one per core)"},
    {R"(device = "eth1")", R"(device = "eth1"
rx_descriptors = 1000)",
     R"(9:18: "rx_descriptors" is 1000, which is no power of two; write 512 or 1024)"},
    {R"(device = "eth1")", R"(device = "eth1"
memif_role = "server")",
     R"(9:14: "memif_role" has no meaning with this driver; remove it, or set driver = "memif")"},
    {R"(device = "eth1")", R"(device = "eth1"
memif_role = "master")",
     R"(9:14: "memif_role" is "master"; it must be "client" or "server")"},
    {R"(device = "eth1")", R"(device = "eth1"
take_over = "yes")",
     R"(9:13: "take_over" is a string; it must be true or false)"},
    {R"(destination = "0.0.0.0/0")", R"(destination = "default")",
     R"(16:15: "default" is no network; write NETWORK/LENGTH, as "198.18.4.0/24", "0.0.0.0/0" or "::/0")"},
    {R"(destination = "0.0.0.0/0")", R"(destination = "198.18.4.1/24")",
     R"(16:15: "198.18.4.1/24" has bits set behind its prefix; write "198.18.4.0/24")"},
    {R"(destination = "0.0.0.0/0")", R"(destination = "::/0")",
     R"(17:11: gateway 198.18.0.254 is of another family than the destination; write an IPv6 address)"},
    {R"(destination = "0.0.0.0/0")", R"(
)",
     R"(15:1: "destination" is missing in [[route]]; add it, as destination = "0.0.0.0/0")"},
    {R"([[route]])", R"([[route]]
destination = "0.0.0.0/0"
gateway = "198.18.0.253"
[[route]])",
     R"(19:15: this destination has a route on line 15 already; keep one of the two)"},
    {R"(gateway = "198.18.0.254")", R"(gateway = "198.18.9.254")",
     R"(17:11: gateway 198.18.9.254 is in no network of an interface; write the address of a router in one of them)"},
    {R"(gateway = "198.18.0.254")", R"(gateway = "198.18.0.1")",
     R"(17:11: gateway 198.18.0.1 is our own address; write the address of the router)"},
    {R"(gateway = "198.18.0.254")", R"(gateway = "gateway")",
     R"(17:11: "gateway" is no address of a host; write an IP address, as "198.18.0.1" or "2001:db8::1")"},
    {R"(gateway = "198.18.0.254")", R"(gateway = "198.18.0.254"
interface = "fornt")",
     R"(18:13: there is no interface "fornt"; the nearest name is "front")"},
    {R"(gateway = "198.18.0.254")", R"(gateway = "198.18.0.254"
interface = "rear")",
     R"(17:11: gateway 198.18.0.254 is in no network of interface "rear"; write the address of a router in one of them)"},
    {R"(destination = "0.0.0.0/0"
gateway = "198.18.0.254")", R"(destination = "::/0"
gateway = "fe80::1")",
     R"(17:11: gateway fe80::1 is link-local; name its interface, as interface = "front")"},
    {R"(name = "ticker")", R"(name = "raw")",
     R"(26:8: listener "raw" exists already, on line 19; give it a name of its own)"},
    {R"(address = "198.18.0.1")", R"(address = "198.18.0.2")",
     R"(20:11: 198.18.0.2 is no address of an interface; write one of 198.18.0.1, 2001:db8::1, 198.18.1.1)"},
    {R"(address = "198.18.0.1")", R"(address = "0.0.0.0")",
     R"(20:11: "0.0.0.0" is no address to listen on; write "*" for every address of every interface)"},
    {R"(address = "198.18.0.1")", R"(address = "198.18.0")",
     R"(20:11: "198.18.0" is no IP address; write an address of an interface, or "*" for all of them)"},
    {R"(address = "198.18.0.1"
port = 80)", R"(port = 80)",
     R"(18:1: "address" is missing in [[listener]]; add it, as address = "198.18.0.1")"},
    {R"(port = 80)", R"(port = 0)",
     R"(21:8: "port" is 0; it must be 1 to 65535)"},
    {R"(port = 80)", R"(port = 70000)",
     R"(21:8: "port" is 70000; it must be 1 to 65535)"},
    {R"(port = 80)", R"(port = "80")",
     R"(21:8: "port" is a string; it must be an integer, 1 to 65535)"},
    {R"(port = 80)", R"(port = 81)",
     R"(28:8: port 81 of this address belongs to the listener on line 18 already; choose another port or address)"},
    {R"(port = 80)", R"(prot = 80)",
     R"(18:1: "port" is missing in [[listener]]; add it, as port = 80
21:1: unknown key "prot" in [[listener]]; the nearest known key is "port")"},
    {R"(port = 80)", R"(port = 80
mode = "https")",
     R"(22:8: "mode" is "https"; it must be "http" or "tcp")"},
    {R"(port = 80)", R"(port = 80
mode = "tcp")",
     R"(23:1: a listener of mode "tcp" has no routes; remove them and write backend = "NAME")"},
    {R"(port = 80)", R"(port = 80
head_timeout = 10)",
     R"(22:16: "head_timeout" is an integer; it must be a string with a unit, as "5s")"},
    {R"(port = 80)", R"(port = 80
head_timeout = "10")",
     R"(22:16: "10" is no duration; write whole numbers with us, ms, s, m, h or d, as "5s" or "2m30s")"},
    {R"(port = 80)", R"(port = 80
head_timeout = "10s500ms1h")",
     R"(22:16: "10s500ms1h" is no duration; write whole numbers with us, ms, s, m, h or d, as "5s" or "2m30s")"},
    {R"(port = 80)", R"(port = 80
head_timeout = "0s")",
     R"(22:16: "head_timeout" is "0s"; it must be 1ms to 7d)"},
    {R"(port = 80)", R"(port = 80
idle_timeout = "8d")",
     R"(22:16: "idle_timeout" is "8d"; it must be 1ms to 7d)"},
    {R"(port = 80)", R"(port = 80
idle_timeout = "1500us")",
     R"(22:16: "1500us" is too fine; it must be a multiple of 1ms)"},
    {R"(port = 80)", R"(port = 80
retry_after = "500ms")",
     R"(22:15: "500ms" is too fine; it must be a multiple of 1s)"},
    {R"(port = 80)", R"(port = 80
head_bytes_max = "32KiB")",
     R"(22:18: "head_bytes_max" is "32KiB"; it must be 1KiB to 16KiB)"},
    {R"(port = 80)", R"(port = 80
headers_max = 101)",
     R"(22:15: "headers_max" is 101; it must be 1 to 100)"},
    {R"(port = 80)", R"(port = 80
forwarded_for = "append")",
     R"(22:17: "forwarded_for" is "append"; it must be "off", "add" or "replace")"},
    {R"(port = 80)", R"(port = 80
[listener.tls]
certificate = "a.pem")",
     R"(23:15: "certificate" is a string; it must be an array of tables: [[listener.tls.certificate]])"},
    {R"(port = 80)", R"(port = 80
[listener.tls])",
     R"(22:1: there is no certificate; add a [[listener.tls.certificate]] with "chain" and "key")"},
    {R"(port = 80)", R"(port = 80
[[listener.tls.certificate]]
chain = "a.pem"
key = "/a.key")",
     R"(23:9: "chain" is "a.pem"; it must be an absolute path)"},
    {R"(port = 80)", R"(port = 80
[[listener.tls.certificate]]
chain = "/no/such.pem"
key = "/no/such.key")",
     R"(23:9: "/no/such.pem" can't be read: No such file or directory; correct the path)"},
    {R"(port = 80)", R"(port = 80
tls = { client_certificates = "required", certificate = [{ chain = "/a", key = "/b" }] })",
     R"(22:31: client certificates need a "client_ca" that has signed them)"},
    {R"([dataplane])", R"([dataplane]
crypto_threads = 65)",
     R"(3:18: "crypto_threads" is 65; it must be 0 to 64)"},
    {R"(path = "/stream")", R"(path = "stream")",
     R"(23:8: "path" is "stream"; it must be a path that begins with "/", of visible ASCII but "?" and "#")"},
    {R"(path = "/stream")", R"(host = "example.com:80")",
     R"(23:8: "example.com:80" is no host; write a name without port, as "example.com" or "*.example.com")"},
    {R"(path = "/stream")", R"(path = ["/stream"])",
     R"(23:8: "path" is an array; it must be a string, as "/stream")"},
    {R"(backend = "quotes")", R"(backend = "qoutes")",
     R"(24:11: there is no backend "qoutes"; the nearest name is "quotes")"},
    {R"(backend = "quotes")", R"(
)",
     R"(22:1: "backend" is missing in [[listener.route]]; add it, as backend = "quotes")"},
    {R"([[listener.route]]
path = "/stream"
backend = "quotes")", "",
     R"(18:1: listener "ticker" leads nowhere; add a [[listener.route]] or a "backend")"},
    {R"([[listener.route]])", R"([[listener.route]]
host = "*.example.com"
backend = "quotes"
[[listener.route]]
host = "a.example.com")",
     R"(25:1: warning: this route never matches: the one on line 22 takes all its requests; put the narrower route first)"},
    {R"([[listener.route]])", R"([listener.route])",
     R"(22:1: "route" is a table; it must be an array of tables: [[listener.route]])"},
    {R"(mode = "tcp")", R"(mode = "tcp"
head_timeout = "1s")",
     R"(30:16: warning: "head_timeout" has no meaning in mode "tcp"; remove it)"},
    {R"(mode = "tcp"
backend = "rest")", R"(mode = "tcp")",
     R"(25:1: listener "raw" of mode "tcp" has no "backend"; add it)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
hash = "header:X-User"

[[listener]]
name = "x"
address = "198.18.1.1"
port = 9
mode = "tcp"
backend = "quotes"
[[backend]]
name = "more")",
     R"(31:1: backend "quotes" has no server; add a [[backend.server]]
41:11: backend "quotes" hashes a header, which a connection of mode "tcp" does not have; use a backend with hash = "source")"},
    {R"(balance = "maglev")", R"(balance = "random")",
     R"(33:11: "balance" is "random"; it must be "round_robin", "least_conn", "maglev" or "ip_hash")"},
    {R"(balance = "maglev")", R"(hash = "header:X-User")",
     R"(33:8: "hash" has no meaning with this "balance"; remove it, or set balance = "maglev")"},
    {R"(balance = "maglev")", R"(balance = "maglev"
hash = "header:")",
     R"(34:8: "hash" is "header:"; it must be "source" or "header:NAME", as "header:X-User")"},
    {R"(balance = "maglev")", R"(balance = "maglev"
maglev_size = 65536)",
     R"(34:15: "maglev_size" is 65536, which is not prime; the next prime is 65537)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
maglev_size = 100)",
     R"(34:15: "maglev_size" is 100; it must be 251 to 655373)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
retries = 11)",
     R"(34:11: "retries" is 11; it must be 0 to 10)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = true)",
     R"(34:7: "tls" is a boolean; it must be a table)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { ca = "ca.pem" })",
     R"(34:14: "ca" is "ca.pem"; it must be an absolute path)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { ca = "/no/such.pem" })",
     R"(34:14: "/no/such.pem" can't be read: No such file or directory; correct the path)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { certificate = "/a.pem" })",
     R"(34:23: "certificate" and "key" belong together; add the key of this certificate)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { key = "/a.key" })",
     R"(34:15: "certificate" and "key" belong together; add the certificate of this key)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { server_name = "*.example.com" })",
     R"(34:23: "server_name" is "*.example.com"; it must be a host name or an IP address)"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { min_version = "1.1" })",
     R"(34:23: "min_version" is "1.1"; it must be "1.2" or "1.3")"},
    {R"(balance = "maglev")", R"(balance = "maglev"
tls = { verfy = false })",
     R"(34:9: unknown key "verfy" in [backend.tls]; the nearest known key is "verify")"},
    {R"(type = "http")", R"(type = "http"
tls = false)",
     R"(37:7: "tls" of the probes has no meaning without a [backend.tls]; remove it, or add that)"},
    {R"(name = "rest")", R"(name = "quotes")",
     R"(30:11: there is no backend "rest"; the nearest name is "quotes"
44:8: backend "quotes" exists already, on line 32; give it a name of its own)"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = [{ address = "198.18.1.2" }])",
     R"(34:24: source 198.18.1.2 is no address of an interface; write one of 198.18.0.1, 2001:db8::1, 198.18.1.1)"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = [{ address = "2001:db8::1" }])",
     R"(39:11: 198.18.1.10 has no source of its family; add an IPv4 address to "sources"
42:11: 198.18.1.12 has no source of its family; add an IPv4 address to "sources")"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = [{ address = "198.18.1.1", ports = "9000-1024" }])",
     R"(34:46: "9000-1024" is no range of ports; write LOW-HIGH within 1024 and 65535, as "1024-65535")"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = [{ address = "198.18.1.1", ports = "1023-9000" }])",
     R"(34:46: "1023-9000" is no range of ports; write LOW-HIGH within 1024 and 65535, as "1024-65535")"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = [{ address = "198.18.1.1" }, { address = "198.18.1.1", ports = "5000" }])",
     R"(34:40: this pool shares ports with the one on line 34; give each port of an address to one pool)"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = ["198.18.1.1"])",
     R"(34:12: "sources" is a string; it must be an array of tables: sources = [{ ... }])"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = [{ addres = "198.18.1.1" }])",
     R"(34:12: "address" is missing in "sources" of [[backend]]; add it, as address = "198.18.0.1"
34:14: unknown key "addres" in "sources" of [[backend]]; the nearest known key is "address")"},
    {R"(type = "http")", R"(type = "grpc")",
     R"(36:8: "type" is "grpc"; it must be "tcp", "http" or "websocket")"},
    {R"(type = "http")", R"(type = "http"
timeout = "3s")",
     R"(37:11: "timeout" of the probes is 3s, longer than their "interval"; write at most 2s)"},
    {R"(type = "http")", R"(type = "tcp"
expect_status = "200-299")",
     R"(37:17: "expect_status" has no meaning for these probes; remove it, or set type = "http")"},
    {R"(type = "http")", R"(expect_status = "200-299")",
     R"(35:1: "type" is missing in [backend.health]; add it, as type = "http")"},
    {R"(type = "http")", R"(type = "http"
expect_status = "2xx")",
     R"(37:17: "2xx" is no range of statuses; write LOW-HIGH within 100 and 599, as "200-399")"},
    {R"(type = "http")", R"(type = "http"
intervall = "1s")",
     R"(37:1: unknown key "intervall" in [backend.health]; the nearest known key is "interval")"},
    {R"([backend.health])", R"([backend.health.deep])",
     R"(35:1: "type" is missing in [backend.health]; add it, as type = "http"
35:17: unknown key "deep" in [backend.health]; the nearest known key is "type")"},
    {R"(name = "b")", R"(name = "a")",
     R"(41:8: server "a" exists already, on line 38; give it a name of its own)"},
    {R"(name = "b")", R"(name = "b"
weight = 1001)",
     R"(42:10: "weight" is 1001; it must be 0 to 1000)"},
    {R"(address = "198.18.1.10:8080")", R"(address = "198.18.1.10")",
     R"(39:11: "198.18.1.10" has no port; write HOST:PORT or [IPV6]:PORT, as "198.18.0.10:8080" or "[2001:db8::10]:8080")"},
    {R"(address = "198.18.1.10:8080")", R"(address = "198.18.1.10:http")",
     R"(39:11: "http" is no port; write 1 to 65535 behind the colon)"},
    {R"(address = "198.18.1.10:8080")", R"(address = "2001:db8::10:8080")",
     R"(39:11: "2001:db8::10:8080" is an IPv6 address without brackets; write HOST:PORT or [IPV6]:PORT, as "198.18.0.10:8080" or "[2001:db8::10]:8080")"},
    {R"(address = "198.18.1.10:8080")", R"(address = "[198.18.1.10]:8080")",
     R"(39:11: "[198.18.1.10]:8080" is no bracketed IPv6 address with a port; write HOST:PORT or [IPV6]:PORT, as "198.18.0.10:8080" or "[2001:db8::10]:8080")"},
    {R"(address = "198.18.1.10:8080")", R"(address = "a_b c:8080")",
     R"(39:11: "a_b c" is neither an IP address nor a host name; write HOST:PORT or [IPV6]:PORT, as "198.18.0.10:8080" or "[2001:db8::10]:8080")"},
    {R"(address = "198.18.1.10:8080")", R"(address = "198.18.1.1:8080")",
     R"(39:11: 198.18.1.1 is our own address; write the address of the server)"},
    {R"(address = "198.18.1.10:8080")", R"(address = "224.0.0.1:8080")",
     R"(39:11: 224.0.0.1 can't be the address of a server; write the address of a host)"},
    {R"(address = "198.18.1.10:8080")", R"(address = "absent.example.com:8080")",
     R"(39:11: the name "absent.example.com" does not resolve: Name or service not known; correct it, or write an IP address)"},
    {R"(address = "198.18.1.10:8080")", R"(address = "mixed.example.com:8080")",
     R"(39:11: warning: only some addresses of "mixed.example.com" are used: 2001:db8:9::1 is in no network of an interface, and no route leads there from an IPv6 address; add an address in its network or a [[route]])"},
    {R"(address = "[2001:db8::10]:8080")", R"(address = "[2001:db8:9::10]:8080")",
     R"(47:11: 2001:db8:9::10 is in no network of an interface, and no route leads there from an IPv6 address; add an address in its network or a [[route]])"},
    {R"(address = "[2001:db8::10]:8080")", R"(address = "[2001:db8::10]:8080"
weight = 0)",
     R"(43:1: warning: every server of backend "rest" has weight 0, so it takes nothing new; give one a weight above 0)"},
    {R"([[backend.server]]
name = "a"
address = "[2001:db8::10]:8080")", "",
     R"(43:1: backend "rest" has no server; add a [[backend.server]])"},
    {R"(name = "rest")", R"(name = "rest"
server = [])",
     R"(46:1: TOML syntax: error while parsing table header: cannot redefine existing array 'backend.server' as array-of-tables; correct it (see https://toml.io/en/v1.0.0))"},
    {R"(backend = "rest")", R"(backend = "quotes")",
     R"(44:8: warning: no listener uses backend "rest"; add it to a [[listener.route]], or remove it)"},
    {R"(sources = [{ address = "198.18.1.1" }])", R"(sources = "198.18.1.1")",
     R"(34:11: "sources" is a string; it must be an array of tables: sources = [{ ... }])"},
    {R"(schema = 1)", R"(schema = 1
route = [{ destination = "10.0.0.0/8" }])",
     R"(16:1: TOML syntax: error while parsing table header: cannot redefine existing array 'route' as array-of-tables; correct it (see https://toml.io/en/v1.0.0))"},
    {R"(schema = 1)", R"(schema = 1979-05-27)",
     R"(1:10: "schema" is a date or time; it must be an integer, 1)"},
    {R"(control])", R"(control]
user = "a:b")",
     R"(5:8: "user" is "a:b"; it must be a user name)"},
    {R"(name = "b")", R"(name = "b"
drain = true)",
     R"(42:1: unknown key "drain" in [[backend.server]]; the nearest known key is "name")"},
    {R"(type = "http")", R"(type = "http"
path = "health")",
     R"(37:8: "path" is "health"; it must be a path that begins with "/")"},
    {R"(type = "http")", R"(type = "websocket"
rise = 0)",
     R"(37:8: "rise" is 0; it must be 1 to 100)"},
    {R"(driver = "af_xdp")", R"(driver = 7)",
     R"(7:10: "driver" is an integer; it must be "af_xdp", "af_packet", "memif" or "pci")"},
    {R"(addresses = ["198.18.0.1/24", "2001:db8::1/64"])", R"(addresses = [true])",
     R"(9:14: "addresses" is a boolean; it must be a string, as ["198.18.0.1/24", "2001:db8::1/64"])"},
};
// clang-format on

TEST(BadConfigs, EachIsNamedWithLineAndColumn) {
    for (const BadConfig& row : bad_configs) {
        const std::string text = test::edited(test::sample_text, row.from, row.to);
        ASSERT_NE(text, "") << row.from;
        std::string expected;
        for (const char* c = row.expected; *c != 0; ++c) {
            if (expected.empty() || expected.back() == '\n') expected += "f.toml:";
            expected += *c;
        }
        EXPECT_EQ(test::diagnostics_of(test::load(text)), expected + "\n") << row.to;
    }
}

TEST(BadConfigs, ThereAreAtLeastSixty) {
    EXPECT_GE(std::size(bad_configs), 60u);
}

}  // namespace
}  // namespace millrace::control
