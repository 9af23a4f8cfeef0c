#include "operators/rings_graph.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <numeric>

namespace bellwether {

std::vector<RingComponent> ring_components(const std::vector<RingInput::Edge>& edges,
                                           const std::vector<uint64_t>& fresh, Nats threshold) {
  std::vector<RingInput::Edge> kept;
  for (const RingInput::Edge& e : edges) {
    if (e.llr > threshold) kept.push_back(e);
  }
  const auto by_users = [](const auto& x, const auto& y) { return x.a != y.a ? x.a < y.a : x.b < y.b; };
  if (!std::is_sorted(kept.begin(), kept.end(), by_users)) std::sort(kept.begin(), kept.end(), by_users);

  // Adjacency in compressed rows: at[u] .. at[u + 1] are the edges of user number u. Numbers are given in the order of
  // the edges.
  std::vector<uint64_t> users;
  absl::flat_hash_map<uint64_t, uint32_t> numbers;
  const auto number = [&](uint64_t user) {
    const auto [found, fresh_user] = numbers.try_emplace(user, static_cast<uint32_t>(users.size()));
    if (fresh_user) users.push_back(user);
    return found->second;
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

  std::vector<RingComponent> components;
  std::vector<uint32_t> component(users.size(), UINT32_MAX);
  for (uint32_t first = 0; first < users.size(); ++first) {
    if (out[first] != 0 || component[first] != UINT32_MAX) continue;
    const uint32_t id = static_cast<uint32_t>(components.size());
    components.emplace_back();
    component[first] = id;
    queue.assign(1, first);
    while (!queue.empty()) {
      const uint32_t u = queue.back();
      queue.pop_back();
      components[id].users.push_back(users[u]);
      for (uint32_t i = at[u]; i < at[u + 1]; ++i) {
        if (cut[row[i]] != 0) continue;
        const uint32_t v = ends[row[i]].first == u ? ends[row[i]].second : ends[row[i]].first;
        if (component[v] == UINT32_MAX) component[v] = id, queue.push_back(v);
      }
    }
    std::sort(components[id].users.begin(), components[id].users.end());
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    if (cut[i] == 0) components[component[ends[i].first]].edges.push_back(kept[i]);
  }
  std::erase_if(components, [&](const RingComponent& c) {
    return std::none_of(c.users.begin(), c.users.end(),
                        [&](uint64_t u) { return std::binary_search(fresh.begin(), fresh.end(), u); });
  });
  std::sort(components.begin(), components.end(),
            [](const auto& x, const auto& y) { return x.users.front() < y.users.front(); });
  return components;
}

}  // namespace bellwether
