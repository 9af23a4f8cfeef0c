#include "pipeline/tools/cli.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "pipeline/tools/csv_fields.h"
#include "pipeline/tools/import_csv.h"
#include "pipeline/tools/import_edges.h"
#include "pipeline/tools/import_stackexchange.h"
#include "pipeline/tools/plant.h"
#include "pipeline/tools/simulate.h"

namespace bellwether {
namespace {

constexpr const char* kOutHelp =
    "Where the events go: JSON lines, compressed as the name ends (.gz, .zst); - is standard output";
constexpr const char* kRingHelp =
    "Plant a ring: MEMBERSxTARGETS[:DENSITY[:burst|spread|drip]], e.g. 20x10:0.9:drip; may be repeated. DENSITY (0.9): "
    "the chance "
    "that a member likes a target. A target gets its likes within 10 minutes (burst), a day (spread) or 14 days (drip)";
constexpr const char* kLabelsHelp =
    "Where the truth goes: JSON lines of members, beneficiaries and the rings' own likes";

void add_simulate(CLI::App& app, int& exit_code) {
  auto o = std::make_shared<SimulateOptions>();
  CLI::App* c = app.add_subcommand("simulate", "Make up a community's events, with rings planted among honest people");
  c->footer("The same options give the same bytes, on every machine.");
  c->add_option("--users", o->users, "People, besides the rings' own accounts")->capture_default_str();
  c->add_option("--days", o->days, "Days of events")->capture_default_str();
  c->add_option("--seed", o->seed, "Any number; another one gives another community")->capture_default_str();
  c->add_option("--ring", o->rings, kRingHelp)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  c->add_option("--out", o->out, kOutHelp)->capture_default_str();
  c->add_option("--labels", o->labels, kLabelsHelp);
  c->add_option("--start", o->start, "The first day, in UTC")->capture_default_str();
  c->add_option("--camouflage", o->camouflage, "Honest-looking likes of a ring member for each of its ring likes")
      ->capture_default_str();
  c->add_option("--likes-per-day", o->likes_per_day, "Likes a day of the mean user (default: about 0.5)");
  c->callback([o, &exit_code] { exit_code = run_simulate(*o, std::cerr); });
}

void add_plant(CLI::App& app, int& exit_code) {
  auto o = std::make_shared<PlantOptions>();
  CLI::App* c =
      app.add_subcommand("plant", "Plant rings into an existing event file, to measure the detection on real data");
  c->add_option("events", o->events, "Event file in time order (.gz and .zst as they are); read twice")->required();
  c->add_option("--ring", o->rings, kRingHelp)
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  c->add_option("--seed", o->seed, "Any number")->capture_default_str();
  c->add_option("--out", o->out, kOutHelp)->capture_default_str();
  c->add_option("--labels", o->labels, kLabelsHelp);
  c->add_option("--camouflage", o->camouflage, "Other likes of a member for each of its ring likes")
      ->capture_default_str();
  c->add_flag("--camouflage-random", o->camouflage_random,
              "Camouflage on any posts, not on the popular ones more often");
  c->callback([o, &exit_code] { exit_code = run_plant(*o, std::cerr); });
}

void add_stackexchange(CLI::App& import, int& exit_code) {
  auto o = std::make_shared<ImportStackExchangeOptions>();
  CLI::App* c = import.add_subcommand("stackexchange", "A Stack Exchange data dump");
  c->add_option("dir", o->dir, "Folder with Posts, Comments, Votes, Users and Badges (.xml, .xml.gz or .xml.zst)")
      ->required();
  c->add_option("--out", o->out, kOutHelp)->capture_default_str();
  c->footer(
      "Users keep their ids (5), posts are p5, comments c7.\n"
      "  Posts     questions and answers are published; tag wikis and posts of deleted users are skipped\n"
      "  Comments  are posts of kind comment, under their post\n"
      "  Votes     up is a like, down a dislike. A dump names no voters, so each vote comes from a voter of its own\n"
      "            (voter-<vote id>): nothing that compares the likes of one user can apply to them. A favourite is a "
      "view by\n"
      "            its user, where named. Accepted: by the asker. A vote has a day only: it counts from the day's "
      "beginning,\n"
      "            or from its end where the post was made on that day. Other votes are skipped\n"
      "  Users     are registered\n"
      "  Badges    of tags are certificates (<tag>/<gold, silver, bronze>); the others attest activity and are "
      "skipped\n"
      "Every row that is skipped is counted by reason. Memory: some 50 bytes a post; the rest is sorted on disk "
      "($TMPDIR).");
  c->callback([o, &exit_code] { exit_code = run_import_stackexchange(*o, std::cerr); });
}

void add_edges(CLI::App& import, int& exit_code) {
  auto o = std::make_shared<ImportEdgesOptions>();
  CLI::App* c =
      import.add_subcommand("edges", "An interaction graph: lines \"src dst unix_seconds\", each a like of dst's post");
  c->add_option("file", o->files, "Files (.gz and .zst as they are, - is standard input), merged by time")->required();
  c->add_option("--out", o->out, kOutHelp)->capture_default_str();
  c->add_option("--post-days", o->post_days, "The edges to one user in so many days are likes of one post")
      ->capture_default_str();
  c->footer("A post is named by its author and the first day of its period, e.g. 4-2009-09-28.");
  c->callback([o, &exit_code] { exit_code = run_import_edges(*o, std::cerr); });
}

void add_csv(CLI::App& import, int& exit_code) {
  auto o = std::make_shared<ImportCsvOptions>();
  CLI::App* c = import.add_subcommand("csv", "A table with a header row (RFC 4180)");
  std::string fields = "Fields by kind (* is needed):\n";
  for (const char* kind : {"like", "post", "referral", "beta_test", "account", "entitlement_use", "feedback"})
    fields += std::string("  ") + kind + ": " + csv_fields(kind) + "\n";
  c->footer(fields +
            "Times: seconds, milliseconds or microseconds since 1970 (told by size), RFC 3339, or YYYY-MM-DD[ "
            "HH:MM:SS] in UTC.\n"
            "Without an id, events are named by kind and row. Rows that make no valid event are skipped and counted by "
            "reason.\n"
            "Example: import csv votes.csv.gz --kind like --where vote=1\n"
            "           --map "
            "user=conversation+voter_id,post=conversation+comment_id,author=conversation+author_id,time=timestamp_ms");
  c->add_option("file", o->file, "The table (.gz and .zst as they are, - is standard input)")->required();
  c->add_option("--kind", o->kind, "What a row is: " + std::string(csv_kind_names()))->required();
  c->add_option("--map", o->map, "FIELD=COLUMN,…; COLUMN+COLUMN joins two by /")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  c->add_option("--where", o->where, "Only rows with COLUMN=VALUE (or COLUMN!=VALUE); may be repeated, all must hold")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  c->add_option("--join", o->join,
                "FILE:COLUMN: adds the columns of FILE's row with the same COLUMN; FILE is held in memory")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  c->add_option("--const", o->fixed, "FIELD=VALUE for all rows")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  c->add_option("--time-unit", o->time_unit, "Of a time that is a number: s, ms or us (default: told by its size)");
  c->add_option("--separator", o->separator, "One character, or tab")->capture_default_str();
  c->add_option("--id-prefix", o->id_prefix, "Before the row's number in event ids (default: the kind)");
  c->add_option("--out", o->out, kOutHelp)->capture_default_str();
  c->callback([o, &exit_code] { exit_code = run_import_csv(*o, std::cerr); });
}

void add_evaluate(CLI::App& app, int& exit_code) {
  auto o = std::make_shared<EvaluateOptions>();
  CLI::App* c =
      app.add_subcommand("evaluate", "How well planted rings were found: precision, recall, F1, time to detect");
  c->add_option("--data", o->data, "Data folder of a replay or a stopped service");
  c->add_option("--dump", o->dump, "A file that `dump` wrote, instead (- is standard input)");
  c->add_option("--labels", o->labels, "The truth, as simulate or plant wrote it")->required();
  c->add_option("--output", o->output, "table or json")->capture_default_str();
  c->callback([o, &exit_code] { exit_code = run_evaluate(*o, dump_hook, std::cout, std::cerr); });
}

}  // namespace

DumpHook dump_hook;

void add_tool_commands(CLI::App& app, int& exit_code) {
  add_simulate(app, exit_code);
  CLI::App* import = app.add_subcommand("import", "Turn real exports into events");
  import->require_subcommand(1);
  add_stackexchange(*import, exit_code);
  add_edges(*import, exit_code);
  add_csv(*import, exit_code);
  add_evaluate(app, exit_code);
  add_plant(app, exit_code);
}

}  // namespace bellwether
