#include "operators/analysis.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <span>
#include <vector>

#include "operators/people.h"
#include "operators/posts.h"
#include "operators/rings.h"
#include "operators/rings_op.h"

namespace bellwether {
namespace {

class Ledger final : public LedgerView {
 public:
  Ledger(StateReader& reader, int64_t as_of_us) : reader_(reader), as_of_slot_(slot_of(as_of_us)) {}

  void likes_of(uint64_t user, int64_t from_us, int64_t to_us,
                absl::FunctionRef<void(const RingLike&)> each) const override {
    const Key key{KeyKind::kUser, user};
    const auto* people = static_cast<const PeopleState*>(reader_.state(OperatorId::kPeople, key));
    if (people == nullptr) return;
    if (people->book.loaded()) return standing(user, people->book, from_us, to_us, each);
    LikeBook book = people->book;
    for (const LikeBook::Block& b : people->book.blocks())
      book.add_block(reader_.block(OperatorId::kPeople, key, b.day, b.number));
    book.finish_loading();
    standing(user, book, from_us, to_us, each);
  }

  void likers_of(uint64_t post, int64_t from_us, int64_t to_us,
                 absl::FunctionRef<void(uint64_t user, int64_t time_us)> each) const override {
    const Key key{KeyKind::kPost, post};
    const auto* posts = static_cast<const PostsState*>(reader_.state(OperatorId::kPosts, key));
    if (posts == nullptr) return;
    // A user's likes of a post stand one at a time: one that goes takes the one before it along.
    std::vector<PostLike> rows;
    std::span<const PostLike> likes = posts->open;
    const auto& blocks = posts->blocks;
    size_t first = blocks.size(), held = likes.size();
    while (first != 0 && held < RingLimits::kPostLikers) held += blocks[--first].count;
    for (size_t i = first; i < blocks.size(); ++i) {
      const PostsState::Block& b = blocks[i];
      if (b.day < day_of(from_us)) continue;  // filled before: nothing in it is newer than its day
      for (const PostLike& like : PostsState::read_block(reader_.block(OperatorId::kPosts, key, b.day, b.number)))
        rows.push_back(like);
    }
    const auto gone = [](const PostLike& like) { return like.gone; };
    if (!rows.empty() || std::any_of(likes.begin(), likes.end(), gone)) {
      rows.insert(rows.end(), likes.begin(), likes.end());
      if (std::any_of(rows.begin(), rows.end(), gone)) take_back(rows);
      likes = rows;
    }
    for (const PostLike& like : likes)
      if (!like.gone && like.time_us >= from_us && like.time_us <= to_us) each(like.liker, like.time_us);
  }

  int64_t post_birth_us(uint64_t post) const override {
    const auto* posts = static_cast<const PostsState*>(reader_.state(OperatorId::kPosts, {KeyKind::kPost, post}));
    if (posts == nullptr) return 0;
    return posts->published_us != 0 ? posts->published_us : static_cast<int64_t>(posts->likers.first_s()) * kSecondUs;
  }

 private:
  // Marks the like that an undo took back.
  static void take_back(std::vector<PostLike>& rows) {
    absl::flat_hash_map<uint64_t, size_t> latest;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].gone) {
        latest[rows[i].liker] = i;
      } else if (const auto at = latest.find(rows[i].liker); at != latest.end()) {
        rows[at->second].gone = true;
      }
    }
  }

  void standing(uint64_t user, const LikeBook& book, int64_t from_us, int64_t to_us,
                absl::FunctionRef<void(const RingLike&)> each) const {
    for (const LikeEntry& e : book.entries())
      if (e.kind == LikeKind::kLike && !e.undo && !e.undone && e.author != user && e.slot() <= as_of_slot_ &&
          e.time_us >= from_us && e.time_us <= to_us)
        each({user, e.post, e.author, e.time_us, e.id_hash});
  }

  StateReader& reader_;
  const int64_t as_of_slot_;
};

}  // namespace

std::unique_ptr<LedgerView> ledger_of(StateReader& reader, int64_t as_of_us) {
  return std::make_unique<Ledger>(reader, as_of_us);
}

std::string run_analysis(std::string_view input, StateReader& reader) {
  const auto rings = RingInput::decode(input);
  if (!rings) return encode_findings({}, 0);
  RingWork work = 0;
  const auto found = find_rings(*rings, *ledger_of(reader, rings->as_of_us), reader.community().rings, {}, &work);
  return encode_findings(found, work);
}

}  // namespace bellwether
