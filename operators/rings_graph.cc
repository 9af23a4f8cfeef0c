#include "operators/rings_graph.h"

#include <algorithm>
#include <numeric>

#include "operators/rings_numbers.h"

namespace bellwether {

std::vector<RingComponent> ring_components(const std::vector<RingInput::Edge>& edges,
                                           const std::vector<uint64_t>& fresh, Nats threshold) {
  std::vector<RingInput::Edge> kept;
  kept.reserve(edges.size());
  for (const RingInput::Edge& e : edges) {
    if (e.llr > threshold) kept.push_back(e);
  }

  // Adjacency in compressed rows: at[u] .. at[u + 1] are the edges of user number u. Numbers are given in the order of
  // the edges.
  std::vector<uint64_t> users;
  RingNumbers numbers;
  const auto number = [&](uint64_t user) {
    const uint32_t n = numbers.add(user);
    if (n == users.size()) users.push_back(user);
    return n;
  };
  std::vector<std::pair<uint32_t, uint32_t>> ends(kept.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    const uint32_t a = number(kept[i].a);
    ends[i] = {a, number(kept[i].b)};
  }
  std::vector<uint32_t> at(users.size() + 1, 0);
  for (const auto& [a, b] : ends) ++at[a + 1], ++at[b + 1];
  std::partial_sum(at.begin(), at.end(), at.begin());
  std::vector<uint32_t> row(2 * kept.size()), fill(at.begin(), at.end() - 1);
  std::vector<Nats> sum(users.size(), 0);
  std::vector<uint32_t> degree(users.size(), 0);
  for (uint32_t i = 0; i < kept.size(); ++i) {
    for (const uint32_t u : {ends[i].first, ends[i].second}) {
      row[fill[u]++] = i;
      sum[u] += kept[i].llr - RingLimits::kEdgeMin;
      ++degree[u];
    }
  }

  std::vector<char> out(users.size(), 0), cut(kept.size(), 0);
  std::vector<uint32_t> queue;
  const auto weak = [&](uint32_t u) {
    return out[u] == 0 && (degree[u] < RingLimits::kPartnersMin || sum[u] < RingLimits::kUserMin);
  };
  for (uint32_t u = 0; u < users.size(); ++u) {
    if (weak(u)) out[u] = 1, queue.push_back(u);
  }
  while (!queue.empty()) {
    const uint32_t u = queue.back();
    queue.pop_back();
    for (uint32_t i = at[u]; i < at[u + 1]; ++i) {
      const uint32_t e = row[i];
      if (cut[e] != 0) continue;
      cut[e] = 1;
      const uint32_t v = ends[e].first == u ? ends[e].second : ends[e].first;
      sum[v] -= kept[e].llr - RingLimits::kEdgeMin;
      --degree[v];
      if (weak(v)) out[v] = 1, queue.push_back(v);
    }
  }

  std::vector<char> is_fresh(users.size(), 0);
  for (const uint64_t user : fresh)
    if (const uint32_t u = numbers.find(user); u != RingNumbers::kNone) is_fresh[u] = 1;

  std::vector<RingComponent> components;
  std::vector<uint32_t> component(users.size(), UINT32_MAX);  // UINT32_MAX: none, or one without a fresh user
  std::vector<char> met(users.size(), 0);
  for (uint32_t first = 0; first < users.size(); ++first) {
    if (out[first] != 0 || met[first] != 0) continue;
    met[first] = 1;
    bool wanted = false;
    queue.assign(1, first);
    for (size_t next = 0; next < queue.size(); ++next) {
      const uint32_t u = queue[next];
      wanted = wanted || is_fresh[u] != 0;
      for (uint32_t i = at[u]; i < at[u + 1]; ++i) {
        if (cut[row[i]] != 0) continue;
        const uint32_t v = ends[row[i]].first == u ? ends[row[i]].second : ends[row[i]].first;
        if (met[v] == 0) met[v] = 1, queue.push_back(v);
      }
    }
    if (!wanted) continue;
    RingComponent& c = components.emplace_back();
    for (const uint32_t u : queue)
      component[u] = static_cast<uint32_t>(components.size() - 1), c.users.push_back(users[u]);
    std::sort(c.users.begin(), c.users.end());
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    const uint32_t id = component[ends[i].first];
    if (cut[i] == 0 && id != UINT32_MAX) components[id].edges.push_back(kept[i]);
  }
  // Most edges are peeled off: only what is left is sorted.
  const auto by_users = [](const auto& x, const auto& y) { return x.a != y.a ? x.a < y.a : x.b < y.b; };
  for (RingComponent& c : components)
    if (!std::is_sorted(c.edges.begin(), c.edges.end(), by_users)) std::sort(c.edges.begin(), c.edges.end(), by_users);
  std::sort(components.begin(), components.end(),
            [](const auto& x, const auto& y) { return x.users.front() < y.users.front(); });
  return components;
}

}  // namespace bellwether
