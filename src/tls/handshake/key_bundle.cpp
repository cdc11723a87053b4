#include "tls/handshake/key_bundle.h"

#include <nlohmann/json.hpp>

namespace millrace::tls {
namespace {

using Json = nlohmann::json;

std::string to_hex(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes) {
        constexpr const char* digits = "0123456789abcdef";
        const auto value = static_cast<unsigned char>(byte);
        text += {digits[value >> 4], digits[value & 15]};
    }
    return text;
}

std::string from_hex(const std::string& text) {
    std::string bytes;
    for (size_t i = 0; i + 1 < text.size(); i += 2)
        bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
    return bytes;
}

Json to_json(const ContextSettings& settings) {
    Json identities = Json::array();
    for (const Identity& identity : settings.identities)
        identities.push_back(
            {{"chain", identity.chain_pem}, {"key", identity.key_pem}, {"ocsp", to_hex(identity.ocsp_der)}});
    return {{"identities", identities},
            {"version_min", settings.version_min},
            {"version_max", settings.version_max},
            {"ciphers12", settings.ciphers12},
            {"suites13", settings.suites13},
            {"groups", settings.groups},
            {"protocols", settings.protocols},
            {"tickets", settings.tickets},
            {"client_certificates", settings.client_certificates},
            {"client_ca", settings.client_ca_pem}};
}

template <typename Enum>
Enum choice(const Json& json, Enum least, Enum most) {
    const int value = json.get<int>();
    if (value < static_cast<int>(least) || value > static_cast<int>(most)) throw std::out_of_range("unknown choice");
    return static_cast<Enum>(value);
}

ContextSettings to_settings(const Json& json) {
    ContextSettings settings;
    for (const Json& identity : json.at("identities"))
        settings.identities.push_back(
            {identity.at("chain"), identity.at("key"), from_hex(identity.at("ocsp").get<std::string>())});
    settings.version_min = choice(json.at("version_min"), Version::tls12, Version::tls13);
    settings.version_max = choice(json.at("version_max"), Version::tls12, Version::tls13);
    settings.ciphers12 = json.at("ciphers12");
    settings.suites13 = json.at("suites13");
    settings.groups = json.at("groups");
    settings.protocols = json.at("protocols").get<std::vector<std::string>>();
    settings.tickets = json.at("tickets");
    settings.client_certificates =
        choice(json.at("client_certificates"), ClientCertificates::off, ClientCertificates::required);
    settings.client_ca_pem = json.at("client_ca");
    return settings;
}

/// Whom a session proves to be somebody depends on who was asked for what when it began.
std::string session_scope(const ListenerKeys& keys) {
    return keys.listener + '\n' + std::to_string(static_cast<int>(keys.context.client_certificates)) + '\n' +
           keys.context.client_ca_pem;
}

Json to_json(const ListenerKeys& keys) {
    return {{"listener", keys.listener},
            {"slot", keys.slot},
            {"context", to_json(keys.context)},
            {"ticket_keys", to_hex(keys.ticket_keys)}};
}

Json to_json(const BackendKeys& keys) {
    Json servers = Json::array();
    for (const ServerName& server : keys.servers)
        servers.push_back({{"slot", server.slot}, {"name", server.name}, {"host", server.host}});
    return {{"backend", keys.backend}, {"slot", keys.slot}, {"context", to_json(keys.context)},
            {"verify", keys.verify},   {"ca", keys.ca_pem}, {"server_name", keys.server_name},
            {"resume", keys.resume},   {"servers", servers}};
}

ListenerKeys to_listener(const Json& json) {
    ListenerKeys keys{
        .listener = json.at("listener"), .slot = json.at("slot"), .context = to_settings(json.at("context"))};
    keys.context.session_scope = session_scope(keys);
    keys.ticket_keys = from_hex(json.at("ticket_keys").get<std::string>());
    if (!keys.ticket_keys.empty() && !TicketKeys::valid_size(keys.ticket_keys.size()))
        throw std::out_of_range("ticket keys of a wrong length");
    return keys;
}

BackendKeys to_backend(const Json& json) {
    BackendKeys keys{.backend = json.at("backend"),
                     .slot = json.at("slot"),
                     .context = to_settings(json.at("context")),
                     .verify = json.at("verify"),
                     .ca_pem = json.at("ca"),
                     .server_name = json.at("server_name"),
                     .resume = json.at("resume")};
    for (const Json& server : json.at("servers"))
        keys.servers.push_back({.slot = server.at("slot"), .name = server.at("name"), .host = server.at("host")});
    return keys;
}

template <class Keys>
Json to_array(const std::vector<Keys>& all) {
    Json json = Json::array();
    for (const Keys& keys : all) json.push_back(to_json(keys));
    return json;
}

}  // namespace

std::string to_text(const KeyBundle& bundle) {
    const Json whole{{"generation", bundle.generation},
                     {"listeners", to_array(bundle.listeners)},
                     {"backends", to_array(bundle.backends)}};
    return whole.dump(-1, ' ', false, Json::error_handler_t::replace);  // a comment in a text may be in any code
}

bool parse_bundle(std::string_view text, KeyBundle& bundle, std::string& error) {
    try {
        bundle = {};
        const Json whole = Json::parse(text);
        bundle.generation = whole.at("generation");
        for (const Json& json : whole.at("listeners")) bundle.listeners.push_back(to_listener(json));
        for (const Json& json : whole.at("backends")) bundle.backends.push_back(to_backend(json));
        return true;
    } catch (const std::exception& what) {
        error = std::string("no bundle of keys: ") + what.what();
        return false;
    }
}

std::unique_ptr<Servers> make_servers(const BackendKeys& keys, std::string& error) {
    std::unique_ptr<Context> context = Context::client(keys.context, error);
    if (!context) return nullptr;
    if (!keys.verify)
        context->trust_anybody();
    else if (!context->trust(keys.ca_pem, error))
        return nullptr;
    auto made = std::make_unique<Servers>(
        std::move(context),
        Servers::Settings{.backend = keys.backend, .server_name = keys.server_name, .resume = keys.resume});
    for (const ServerName& server : keys.servers) made->know(server.slot, {.name = server.name, .host = server.host});
    return made;
}

}  // namespace millrace::tls
