// SPDX-License-Identifier: GPL-2.0-or-later
// Standard containers and algorithms over many types: a template's every instance is compiled anew.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

template <int N> struct item {
    int key;
    std::string name;
    bool operator<(const item &other) const { return key < other.key; }
};

template <int N> int work(const std::string &text)
{
    std::map<std::string, std::vector<item<N>>> groups;
    std::set<item<N>> all;
    for (int i = 0; i < N + 100; i++) {
        item<N> it{i * N, text + std::to_string(i)};
        groups[it.name.substr(0, 3)].push_back(it);
        all.insert(it);
    }
    std::vector<std::pair<std::string, int>> sizes;
    for (auto &[name, list] : groups)
        sizes.emplace_back(name, list.size());
    std::sort(sizes.begin(), sizes.end(), [](auto &a, auto &b) { return a.second > b.second; });
    std::function<int(int)> down = [&](int n) { return n ? down(n - 1) + 1 : 0; };
    return sizes.size() + all.size() + down(N);
}

template <int N> int chain(const std::string &text)
{
    if constexpr (N == 0)
        return 0;
    else
        return work<N>(text) + chain<N - 1>(text);
}

int run(const std::string &text)
{
    return chain<4>(text);
}
