// A Stack Exchange data dump as events.
#pragma once

#include <ostream>
#include <string>

#include "pipeline/tools/import_common.h"

namespace bellwether {

struct ImportStackExchangeOptions {
  std::string dir;  // with Posts, Comments, Votes, Users, Badges: .xml, .xml.gz or .xml.zst
  std::string out = "-";
  size_t sort_bytes = kSortBytes;
};

// Users keep the dump's ids ("5"); posts are "p5", comments "c7". What becomes what:
//   Posts     question, answer → PUBLISHED; other types (tag wikis …) and posts without an author are skipped
//   Comments  → PUBLISHED of kind COMMENT, under their post
//   Votes     2 up → LIKE, 3 down → DISLIKE, each by a voter of its own ("voter-<vote id>"), for a dump names no
//   voters: nothing that
//             compares likes of one user (halving, rings) can apply to them. 5 favourite → VIEW by its user, where the
//             dump names one: a bookmark shows interest, but recommends the post to nobody. 1 accepted → ACCEPTED by
//             the asker. Others are skipped. A vote has a day only: it counts as cast at its beginning, or at its end
//             where the post was made on that day.
//   AcceptedAnswerId without such a vote → ACCEPTED at the time the answer was made, or the question if later
//   Users     → REGISTERED; user -1 (the site's own) gets the role "bot" too
//   Badges    of tags → CERTIFIED with "<tag>/<gold, silver, bronze>": these attest knowledge; the others attest
//   activity: skipped
// Memory: some 50 bytes a post, which the joins need (comment → author of its post, vote → author); the rest streams.
// Posts must be there; a missing other file is said and left out. Gives the exit code: 0, 1 (I/O failed, broken XML), 2
// (no such folder).
int run_import_stackexchange(const ImportStackExchangeOptions& options, std::ostream& err);

}  // namespace bellwether
