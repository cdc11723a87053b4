# Every Debian 12 package that Millrace needs, in one place; sourced by scripts/setup and scripts/test.
# shellcheck shell=bash disable=SC2034

# To build and to run the demo. libdpdk-dev brings every DPDK library and driver.
build_packages=(
    g++ meson ninja-build pkg-config
    libdpdk-dev libipsec-mb-dev libssl-dev libcap-ng-dev
    libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libcpp-httplib-dev libspdlog-dev libgtest-dev
    iproute2 ethtool python3 python3-websockets
)

# Besides, for the tests: sanitizers, fuzzers, style and the real clients.
test_packages=(
    clang clang-format libclang-rt-14-dev
    git curl iputils-ping tcpdump chromium haproxy
)

# Besides, for scripts/measure tls-scan.
scan_packages=(testssl.sh)

# Besides, for the micro benchmarks (scripts/bench).
bench_packages=(libbenchmark-dev)

# Besides, for what is measured beside a bare device (scripts/million --latency, scripts/measure storm): dpdk-testpmd.
testpmd_packages=(dpdk-dev)

# Besides, for the bench beside other balancers (bench/compare/run, scripts/measure handshakes).
compare_packages=(nginx haproxy "${testpmd_packages[@]}")

# Installs those of the named packages that are missing; without any, touches neither apt nor the network.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        echo "these Debian packages are missing; run as root, or: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "apt-get failed; its whole output: $log" >&2
        return 1
    fi
    rm -f "$log"
}
