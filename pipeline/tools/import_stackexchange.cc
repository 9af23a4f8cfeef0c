#include "pipeline/tools/import_stackexchange.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "pipeline/tools/progress.h"
#include "pipeline/tools/times.h"
#include "pipeline/tools/xml_rows.h"

namespace bellwether {
namespace {

constexpr int64_t kNobody = INT64_MIN;  // user ids of dumps may be negative

struct PostRow {
  int64_t id;
  int64_t author = kNobody;
  int64_t parent = kNobody;
  int64_t accepted = kNobody;  // a question's accepted answer
  int64_t time_us = 0;
  PostKind kind = PostKind::kUnspecified;
  bool acceptance_seen = false;
};

bool number(std::string_view text, int64_t& value) {
  const auto r = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && r.ec == std::errc() && r.ptr == text.data() + text.size();
}

uint32_t characters(std::string_view utf8) {
  return static_cast<uint32_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// "<a><b>" in older dumps, "|a|b|" in newer ones.
void set_topics(std::string_view tags, PostFact& post) {
  size_t at = 0;
  while (at < tags.size() && post.topic_count < post.topics.size()) {
    const size_t end = std::min(tags.find_first_of("<>|", at), tags.size());
    if (end > at) post.topics[post.topic_count++] = tags.substr(at, end - at);
    at = end + 1;
  }
}

class Import {
 public:
  Import(const ImportStackExchangeOptions& options, std::ostream& err)
      : options_(options), err_(err), events_(options.sort_bytes) {}

  int run() {
    namespace fs = std::filesystem;
    std::error_code error;
    if (!fs::is_directory(options_.dir, error)) {
      err_ << "import stackexchange: " << options_.dir << " is not a folder\n";
      return 1;
    }
    if (find("Posts").empty()) {
      err_ << "import stackexchange: no Posts.xml, Posts.xml.gz or Posts.xml.zst in " << options_.dir << "\n";
      return 1;
    }
    Status s = read("Posts", [&](const XmlRow& row) { return index(row); });
    if (s.ok()) {
      std::stable_sort(posts_.begin(), posts_.end(), [](const PostRow& a, const PostRow& b) { return a.id < b.id; });
      s = read("Users", [&](const XmlRow& row) { return user(row); });
    }
    if (s.ok()) s = read("Posts", [&](const XmlRow& row) { return post(row); });
    if (s.ok()) s = read("Comments", [&](const XmlRow& row) { return comment(row); });
    if (s.ok()) s = read("Votes", [&](const XmlRow& row) { return vote(row); });
    if (s.ok()) s = accepted_without_vote();
    if (s.ok()) s = read("Badges", [&](const XmlRow& row) { return badge(row); });
    if (s.ok()) s = events_.write(options_.out, "writing");
    if (!s.ok()) {
      err_ << "import stackexchange: " << s.message << "\n";
      return 1;
    }
    err_ << "read " << rows_ << " rows, wrote " << events_.events() << " events\n";
    skipped_.print(err_);
    return 0;
  }

 private:
  std::string find(const std::string& table) const {
    for (const char* ending : {".xml", ".xml.gz", ".xml.zst"}) {
      std::string path = options_.dir + "/" + table + ending;
      if (std::filesystem::exists(path)) return path;
    }
    return {};
  }

  template <typename OnRow>
  Status read(const std::string& table, const OnRow& on_row) {
    place_ = find(table);
    if (place_.empty()) {
      err_ << "no " << table << ".xml in " << options_.dir << ": left out\n";
      return Status::fine();
    }
    ProgressBar progress("reading " + table, 0, "rows");
    uint64_t count = 0;
    return read_xml_rows(
        place_, [&](const XmlRow& row) { return ++count, on_row(row); },
        [&](uint64_t done, uint64_t total) {
          progress.total(total);
          progress.update(done, count);
        });
  }

  Status skip(const XmlRow& row, std::string_view reason) {
    skipped_.add(reason, place_, row.line());
    return Status::fine();
  }
  Status emit(const Fact& event, uint64_t line) { return events_.add(event, place_, line, skipped_); }

  PostRow* known(int64_t id) {
    const auto found = std::lower_bound(posts_.begin(), posts_.end(), id,
                                        [](const PostRow& p, int64_t wanted) { return p.id < wanted; });
    return found != posts_.end() && found->id == id ? &*found : nullptr;
  }

  // First pass over Posts: what the joins need. Says nothing of bad rows, the second pass does.
  Status index(const XmlRow& row) {
    PostRow p{};
    p.author = p.parent = p.accepted = kNobody;
    int64_t type = 0;
    if (!number(row.get("Id"), p.id) || !number(row.get("PostTypeId"), type)) return Status::fine();
    if (!parse_time(row.get("CreationDate"), p.time_us)) return Status::fine();
    if (!number(row.get("OwnerUserId"), p.author)) p.author = kNobody;
    if (!number(row.get("ParentId"), p.parent)) p.parent = kNobody;
    if (!number(row.get("AcceptedAnswerId"), p.accepted)) p.accepted = kNobody;
    p.kind = type == 1 ? PostKind::kQuestion : type == 2 ? PostKind::kAnswer : PostKind::kUnspecified;
    posts_.push_back(p);
    return Status::fine();
  }

  Status user(const XmlRow& row) {
    ++rows_;
    int64_t id = 0;
    Fact event;
    if (!number(row.get("Id"), id)) return skip(row, "user without a number as Id");
    if (!parse_time(row.get("CreationDate"), event.time_us)) return skip(row, "user without a CreationDate");
    const std::string user = std::to_string(id), name = "user-" + user;
    event.id = name, event.user.id = user;
    AccountFact account;
    account.action = AccountAction::kRegistered;
    event.body = account;
    if (Status s = emit(event, row.line()); !s.ok() || id != -1) return s;
    event.id = "role--1";
    account.action = AccountAction::kRole, account.name = "bot";
    event.body = account;
    return emit(event, row.line());
  }

  Status post(const XmlRow& row) {
    ++rows_;
    int64_t id = 0, type = 0;
    if (!number(row.get("Id"), id)) return skip(row, "post without a number as Id");
    if (!number(row.get("PostTypeId"), type)) return skip(row, "post without a PostTypeId");
    const PostRow* p = known(id);
    if (p == nullptr) return skip(row, "post without a CreationDate");
    if (p->kind == PostKind::kUnspecified) return skip(row, "post of type " + std::to_string(type));
    if (p->author == kNobody) return skip(row, "post whose author is deleted");
    const std::string name = "p" + std::to_string(id), author = std::to_string(p->author);
    const std::string event_id = "post-" + std::to_string(id);
    PostFact f;
    f.post.id = name, f.kind = p->kind, f.action = PostAction::kPublished;
    f.length = characters(row.get("Body"));
    set_topics(row.get("Tags"), f);
    Parent parent(*this, p->parent);
    parent.fill(f);
    return send(event_id, p->time_us, author, f, row.line());
  }

  // The names of a parent post and of its author, for as long as an event is being made.
  struct Parent {
    std::string post, author;
    Parent(Import& import, int64_t id) {
      if (id == kNobody) return;
      post = "p" + std::to_string(id);
      if (const PostRow* p = import.known(id); p != nullptr && p->author != kNobody) author = std::to_string(p->author);
    }
    void fill(PostFact& f) const { f.parent.id = post, f.parent_author.id = author; }
  };

  template <typename Body>
  Status send(std::string_view id, int64_t time_us, std::string_view user, const Body& body, uint64_t line) {
    Fact event;
    event.id = id, event.time_us = time_us, event.user.id = user, event.body = body;
    return emit(event, line);
  }

  Status comment(const XmlRow& row) {
    ++rows_;
    int64_t id = 0, post = 0, author = 0, time_us = 0;
    if (!number(row.get("Id"), id)) return skip(row, "comment without a number as Id");
    if (!number(row.get("PostId"), post)) return skip(row, "comment without a PostId");
    if (!parse_time(row.get("CreationDate"), time_us)) return skip(row, "comment without a CreationDate");
    if (!number(row.get("UserId"), author)) return skip(row, "comment whose author is deleted");
    const std::string name = "c" + std::to_string(id), user = std::to_string(author);
    const std::string event_id = "comment-" + std::to_string(id);
    PostFact f;
    f.post.id = name, f.kind = PostKind::kComment, f.action = PostAction::kPublished;
    f.length = characters(row.get("Text"));
    Parent parent(*this, post);
    parent.fill(f);
    return send(event_id, time_us, user, f, row.line());
  }

  // When a vote of that day was cast, as far as one can tell.
  static int64_t vote_time(int64_t day_us, const PostRow& post) {
    const int64_t day = floor_div(day_us, kDayUs) * kDayUs;
    if (post.time_us <= day) return day;
    return std::max(day + kDayUs - 1, post.time_us);
  }

  Status vote(const XmlRow& row) {
    ++rows_;
    int64_t id = 0, type = 0, post_id = 0, day_us = 0;
    if (!number(row.get("Id"), id)) return skip(row, "vote without a number as Id");
    if (!number(row.get("VoteTypeId"), type)) return skip(row, "vote without a VoteTypeId");
    if (type != 1 && type != 2 && type != 3 && type != 5) return skip(row, "vote of type " + std::to_string(type));
    if (!number(row.get("PostId"), post_id)) return skip(row, "vote without a PostId");
    if (!parse_time(row.get("CreationDate"), day_us)) return skip(row, "vote without a CreationDate");
    PostRow* post = known(post_id);
    if (post == nullptr) return skip(row, "vote on a post that is not in the dump");
    if (post->kind == PostKind::kUnspecified) return skip(row, "vote on a post that is neither question nor answer");
    if (post->author == kNobody) return skip(row, "vote on a post whose author is deleted");
    if (type == 1) return acceptance(row, *post, vote_time(day_us, *post));
    int64_t voter = 0;
    const bool named = number(row.get("UserId"), voter);
    if (type == 5 && !named) return skip(row, "favourite without a user");
    const std::string user = type == 5 ? std::to_string(voter) : "voter-" + std::to_string(id);
    const std::string name = "p" + std::to_string(post_id), author = std::to_string(post->author);
    const std::string event_id = "vote-" + std::to_string(id);
    LikeFact f;
    f.post.id = name, f.author.id = author, f.post_kind = post->kind;
    f.kind = type == 2 ? LikeKind::kLike : type == 3 ? LikeKind::kDislike : LikeKind::kView;
    return send(event_id, vote_time(day_us, *post), user, f, row.line());
  }

  Status acceptance(const XmlRow& row, PostRow& answer, int64_t time_us) {
    PostRow* question = known(answer.parent);
    if (question == nullptr) return skip(row, "acceptance of an answer whose question is not in the dump");
    if (question->author == kNobody) return skip(row, "acceptance by an asker who is deleted");
    if (answer.acceptance_seen) return skip(row, "answer accepted a second time");
    return accept(*question, answer, time_us, row.line());
  }

  Status accept(const PostRow& question, PostRow& answer, int64_t time_us, uint64_t line) {
    answer.acceptance_seen = true;
    const std::string number = std::to_string(answer.id), name = "p" + number, event_id = "accept-" + number;
    const std::string asker = std::to_string(question.author), author = std::to_string(answer.author);
    PostFact f;
    f.post.id = name, f.kind = PostKind::kAnswer, f.action = PostAction::kAccepted, f.author.id = author;
    Parent parent(*this, question.id);
    parent.fill(f);
    return send(event_id, time_us, asker, f, line);
  }

  Status accepted_without_vote() {
    place_ = find("Posts");
    for (const PostRow& question : posts_) {
      if (question.accepted == kNobody || question.author == kNobody) continue;
      PostRow* answer = known(question.accepted);
      if (answer == nullptr || answer->author == kNobody || answer->acceptance_seen) continue;
      if (Status s = accept(question, *answer, std::max(answer->time_us, question.time_us), 0); !s.ok()) return s;
    }
    return Status::fine();
  }

  Status badge(const XmlRow& row) {
    ++rows_;
    int64_t id = 0, holder = 0, time_us = 0;
    if (row.get("TagBased") != "True") return skip(row, "badge that is not of a tag");
    if (!number(row.get("Id"), id)) return skip(row, "badge without a number as Id");
    if (!number(row.get("UserId"), holder)) return skip(row, "badge without a UserId");
    if (!parse_time(row.get("Date"), time_us)) return skip(row, "badge without a Date");
    const std::string_view grade = row.get("Class");
    const std::string name = std::string(row.get("Name")) + (grade == "1"   ? "/gold"
                                                             : grade == "2" ? "/silver"
                                                                            : "/bronze");
    const std::string event_id = "badge-" + std::to_string(id), user = std::to_string(holder);
    AccountFact f;
    f.action = AccountAction::kCertified, f.name = name;
    return send(event_id, time_us, user, f, row.line());
  }

  const ImportStackExchangeOptions& options_;
  std::ostream& err_;
  EventSorter events_;
  Skipped skipped_;
  std::string place_;
  std::vector<PostRow> posts_;
  uint64_t rows_ = 0;
};

}  // namespace

int run_import_stackexchange(const ImportStackExchangeOptions& options, std::ostream& err) {
  return Import(options, err).run();
}

}  // namespace bellwether
