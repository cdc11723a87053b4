// The committed reference and guide are what the table of keys says, and every example configuration loads.
// MILLRACE_UPDATE_REFERENCE=1 rewrites the files instead.
#include "control/config/reference.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "control/config/publish.h"
#include "sample.h"

namespace millrace::control {
namespace {

const std::filesystem::path root = MILLRACE_SOURCE_ROOT;
const std::string begin_mark = "<!-- keys: made from the table in src/control/config/schema.cpp -->\n";
const std::string end_mark = "<!-- end of keys -->\n";

std::string contents(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void compare_or_update(const std::filesystem::path& path, const std::string& wanted) {
    if (std::getenv("MILLRACE_UPDATE_REFERENCE") != nullptr) std::ofstream(path) << wanted;
    EXPECT_EQ(contents(path), wanted) << "run this test with MILLRACE_UPDATE_REFERENCE=1";
}

/// What is told but for files that stand on no machine but the one that the configuration is for.
std::string without_missing_files(const LoadResult& result) {
    LoadResult rest;
    for (const Diagnostic& diagnostic : result.diagnostics)
        if (diagnostic.message.find("\"/etc/") != 0) rest.diagnostics.push_back(diagnostic);
    return test::diagnostics_of(rest);
}

TEST(Reference, CommittedFileIsWhatTheTableSays) {
    compare_or_update(root / "config/reference.toml", reference_toml());
}

TEST(Reference, GuideHoldsTheTableOfKeys) {
    const std::filesystem::path path = root / "docs/configuration.md";
    const std::string guide = contents(path);
    const size_t begin = guide.find(begin_mark), end = guide.find(end_mark);
    ASSERT_NE(begin, guide.npos);
    ASSERT_NE(end, guide.npos);
    compare_or_update(path,
                      guide.substr(0, begin) + begin_mark + "\n" + reference_markdown() + "\n" + guide.substr(end));
}

TEST(Reference, LoadsWithoutADiagnostic) {
    EXPECT_EQ(without_missing_files(test::load(reference_toml(), true)), "");
}

/// Every key of the table stands in the reference, and a misspelled one is refused: the reference is read by the same
/// table that it is made from.
TEST(Reference, ShowsEveryKeyAndTheParserReadsIt) {
    const std::string text = reference_toml();
    size_t keys = 0;
    for (const TableInfo& table : configuration_tables()) {
        const std::string heading = table.inline_table ? "\n" + table.path.substr(table.path.rfind('.') + 1) + " = [{"
                                                       : "\n" + table.title() + "\n";
        const size_t table_at = table.path.empty() ? 0 : text.find(heading);
        ASSERT_NE(table_at, text.npos) << table.title();
        for (const KeyInfo& key : table.keys) {
            if (key.nested) continue;
            ++keys;
            EXPECT_NE(key.description, "") << table.path << "." << key.name;
            EXPECT_NE(key.type, "") << table.path << "." << key.name;
            EXPECT_NE(key.range, "") << table.path << "." << key.name;
            const std::string shown = table.inline_table ? key.name + " = " : "\n" + key.name + " = ";
            const size_t at = text.find(shown, table_at);
            ASSERT_NE(at, text.npos) << table.path << "." << key.name;
            std::string misspelled = text;
            misspelled.insert(at + (table.inline_table ? 0 : 1) + key.name.size(), "_");
            const std::string told = test::diagnostics_of(test::load(misspelled));
            EXPECT_NE(told.find("unknown key \"" + key.name + "_\" in " + table.title() +
                                "; the nearest known key is \"" + key.name + "\""),
                      std::string::npos)
                << told;
        }
    }
    EXPECT_GE(keys, 70u);
}

TEST(Reference, ExampleConfigurationsLoad) {
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(root / "config")) {
        if (entry.path().extension() != ".toml") continue;
        ++files;
        test::FakeResolver resolver;
        const LoadResult result = load_config(entry.path().string(), resolver, {.core_count = 64, .check_only = true});
        EXPECT_EQ(without_missing_files(result), "") << entry.path();
        const PublishResult published = to_snapshot(result.config, nullptr, [](SlotKind, uint16_t) { return true; });
        ASSERT_TRUE(published.snapshot.has_value()) << published.error;
        SnapshotView view;
        std::string error;
        const std::vector<std::byte> bytes = published.snapshot->build(1);
        EXPECT_TRUE(view.open(bytes, error)) << entry.path() << ": " << error;
    }
    EXPECT_GE(files, 4u);
}

}  // namespace
}  // namespace millrace::control
