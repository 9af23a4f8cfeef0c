#include "pipeline/service/filter.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace bellwether {

struct Filter::Node {
  enum class Kind : uint8_t { kAnd, kOr, kNot, kCompare } kind = Kind::kCompare;
  std::vector<std::shared_ptr<const Node>> parts;
  int field = 0;
  FieldType type = FieldType::kNumber;
  enum class Op : uint8_t { kEqual, kUnequal, kLess, kLessEqual, kGreater, kGreaterEqual } op = Op::kEqual;
  int64_t number = 0;
  std::string text;
};

namespace {

using Node = Filter::Node;
using NodePtr = std::shared_ptr<const Node>;
constexpr size_t kFilterBytesMax = 4096, kDepthMax = 32, kComparisonsMax = 128;

struct Token {
  enum class Kind : uint8_t { kWord, kText, kOp, kOpen, kClose, kMinus, kEnd } kind = Kind::kEnd;
  std::string text;
  size_t at = 0;
};

class Parser {
 public:
  Parser(std::string_view text, const std::vector<FilterField>& fields) : text_(text), fields_(fields) {}

  bool run(NodePtr& out, std::string& error) {
    const bool good = next() && expression(out) &&
                      (token_.kind == Token::Kind::kEnd || fail(token_.at, "expected AND, OR or the end"));
    if (!good) error = error_;
    return good;
  }

 private:
  bool fail(size_t at, const std::string& what) {
    if (error_.empty()) error_ = "at character " + std::to_string(at + 1) + ": " + what;
    return false;
  }

  static bool word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == '+' || static_cast<unsigned char>(c) >= 0x80;
  }

  bool next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
    token_ = {};
    token_.at = at_;
    if (at_ == text_.size()) return true;
    const char c = text_[at_];
    if (c == '(' || c == ')') {
      token_.kind = c == '(' ? Token::Kind::kOpen : Token::Kind::kClose;
      ++at_;
      return true;
    }
    if (c == '"' || c == '\'') {
      token_.kind = Token::Kind::kText;
      for (++at_; at_ < text_.size() && text_[at_] != c; ++at_) {
        if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
        token_.text += text_[at_];
      }
      if (at_ == text_.size()) return fail(token_.at, "the text has no end quote");
      ++at_;
      return true;
    }
    if (std::string_view("=!<>:").find(c) != std::string_view::npos) {
      token_.kind = Token::Kind::kOp;
      token_.text = c;
      ++at_;
      if (c != '=' && c != ':' && at_ < text_.size() && text_[at_] == '=') token_.text += '=', ++at_;
      if (token_.text == "!") return fail(token_.at, "unknown operator '!'; allowed: = != < <= > >= :");
      return true;
    }
    if (c == '-' && !value_) {  // NOT, unless it begins a number
      token_.kind = Token::Kind::kMinus;
      ++at_;
      return true;
    }
    while (at_ < text_.size() && word(text_[at_])) token_.text += text_[at_++];
    if (token_.text.empty()) return fail(token_.at, std::string("unexpected '") + c + "'");
    token_.kind = Token::Kind::kWord;
    return true;
  }

  bool is(std::string_view keyword) const { return token_.kind == Token::Kind::kWord && token_.text == keyword; }

  bool expression(NodePtr& out) {  // factor {AND factor}; without AND between them they are joined too
    if (++depth_ > kDepthMax) return fail(token_.at, "nested too deep");
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::kAnd;
    for (;;) {
      NodePtr part;
      if (!factor(part)) return false;
      node->parts.push_back(std::move(part));
      if (is("AND")) {
        if (!next()) return false;
        continue;
      }
      if (token_.kind == Token::Kind::kEnd || token_.kind == Token::Kind::kClose) break;
      return fail(token_.at, "expected AND, OR or the end");
    }
    --depth_;
    out = node->parts.size() == 1 ? node->parts[0] : node;
    return true;
  }

  bool factor(NodePtr& out) {  // term {OR term}
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::kOr;
    for (;;) {
      NodePtr part;
      if (!term(part)) return false;
      node->parts.push_back(std::move(part));
      if (!is("OR")) break;
      if (!next()) return false;
    }
    out = node->parts.size() == 1 ? node->parts[0] : node;
    return true;
  }

  bool term(NodePtr& out) {
    if (is("NOT") || token_.kind == Token::Kind::kMinus) {
      if (++depth_ > kDepthMax) return fail(token_.at, "nested too deep");
      auto node = std::make_shared<Node>();
      node->kind = Node::Kind::kNot;
      NodePtr part;
      if (!next() || !term(part)) return false;
      --depth_;
      node->parts.push_back(std::move(part));
      out = node;
      return true;
    }
    if (token_.kind == Token::Kind::kOpen) {
      if (!next() || !expression(out)) return false;
      if (token_.kind != Token::Kind::kClose) return fail(token_.at, "expected )");
      return next();
    }
    return comparison(out);
  }

  bool comparison(NodePtr& out) {
    if (token_.kind != Token::Kind::kWord) return fail(token_.at, "expected a field: " + names());
    const auto field =
        std::find_if(fields_.begin(), fields_.end(), [&](const FilterField& f) { return f.name == token_.text; });
    if (field == fields_.end()) return fail(token_.at, "unknown field " + token_.text + "; allowed: " + names());
    if (++comparisons_ > kComparisonsMax)
      return fail(token_.at, "more than " + std::to_string(kComparisonsMax) + " comparisons");
    value_ = true;
    const bool moved = next();
    value_ = false;
    if (!moved) return false;
    if (token_.kind != Token::Kind::kOp)
      return fail(token_.at, "expected an operator after " + field->name + ": = != < <= > >= :");
    auto node = std::make_shared<Node>();
    node->field = field->id, node->type = field->type;
    static constexpr std::array<std::pair<std::string_view, Node::Op>, 7> kOps{{{"=", Node::Op::kEqual},
                                                                                {":", Node::Op::kEqual},
                                                                                {"!=", Node::Op::kUnequal},
                                                                                {"<", Node::Op::kLess},
                                                                                {"<=", Node::Op::kLessEqual},
                                                                                {">", Node::Op::kGreater},
                                                                                {">=", Node::Op::kGreaterEqual}}};
    for (const auto& [name, op] : kOps)
      if (token_.text == name) node->op = op;
    const bool ordered = field->type == FieldType::kNumber || field->type == FieldType::kPoints ||
                         field->type == FieldType::kTime || (field->type == FieldType::kChoice && field->ordered);
    if (!ordered && node->op != Node::Op::kEqual && node->op != Node::Op::kUnequal)
      return fail(token_.at, field->name + " has no order; allowed: = != :");
    value_ = true;
    const bool got = next();
    value_ = false;
    if (!got) return false;
    if (token_.kind != Token::Kind::kWord && token_.kind != Token::Kind::kText)
      return fail(token_.at, "expected a value for " + field->name);
    if (!value(*field, *node) || !next()) return false;
    out = std::move(node);
    return true;
  }

  bool value(const FilterField& field, Node& node) {
    const std::string& text = token_.text;
    switch (field.type) {
      case FieldType::kText:
        node.text = text;
        return true;
      case FieldType::kBoolean:
        if (text != "true" && text != "false")
          return fail(token_.at, field.name + ": given " + text + ", allowed: true, false");
        node.number = text == "true";
        return true;
      case FieldType::kNumber: {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), node.number);
        if (error != std::errc() || end != text.data() + text.size())
          return fail(token_.at, field.name + ": given " + text + ", allowed: a whole number");
        return true;
      }
      case FieldType::kPoints:
        if (!points(text, node.number))
          return fail(token_.at, field.name + ": given " + text + ", allowed: points with up to six decimals, as 12.5");
        return true;
      case FieldType::kTime: {
        google::protobuf::Timestamp time;
        if (!google::protobuf::util::TimeUtil::FromString(text, &time))
          return fail(token_.at, field.name + ": given " + text + ", allowed: a time as \"2026-01-31T12:00:00Z\"");
        node.number = time.seconds() * 1'000'000 + time.nanos() / 1000;
        return true;
      }
      case FieldType::kChoice: {
        std::string allowed;
        for (size_t i = 0; i < field.choices.size(); ++i) {
          if (field.choices[i].empty()) continue;
          if (field.choices[i] == text) {
            node.number = static_cast<int64_t>(i);
            return true;
          }
          allowed += (allowed.empty() ? "" : ", ") + field.choices[i];
        }
        return fail(token_.at, field.name + ": given " + text + ", allowed: " + allowed);
      }
    }
    return false;
  }

  static bool points(std::string_view text, int64_t& micros) {
    const bool minus = text.starts_with('-');
    if (minus) text.remove_prefix(1);
    int64_t whole = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (error != std::errc() || whole < 0 || whole > 9'000'000'000'000) return false;
    std::string_view rest = text.substr(static_cast<size_t>(end - text.data()));
    int64_t fraction = 0;
    if (!rest.empty()) {
      if (rest[0] != '.' || rest.size() < 2 || rest.size() > 7) return false;
      std::string digits(rest.substr(1));
      for (const char c : digits)
        if (c < '0' || c > '9') return false;
      digits.resize(6, '0');
      fraction = std::stoll(digits);
    }
    micros = (whole * 1'000'000 + fraction) * (minus ? -1 : 1);
    return true;
  }

  std::string names() const {
    std::string list;
    for (const FilterField& f : fields_) list += (list.empty() ? "" : ", ") + f.name;
    return list;
  }

  const std::string_view text_;
  const std::vector<FilterField>& fields_;
  size_t at_ = 0, depth_ = 0, comparisons_ = 0;
  bool value_ = false;  // a value or an operator may come: '-' belongs to a number
  Token token_;
  std::string error_;
};

bool holds(const Node& node, const FilterValue& value) {
  if (node.type == FieldType::kText) return value.text == node.text;
  switch (node.op) {
    case Node::Op::kEqual:
    case Node::Op::kUnequal:
      return value.number == node.number;
    case Node::Op::kLess:
      return value.number < node.number;
    case Node::Op::kLessEqual:
      return value.number <= node.number;
    case Node::Op::kGreater:
      return value.number > node.number;
    case Node::Op::kGreaterEqual:
      return value.number >= node.number;
  }
  return false;
}

bool matches_node(const Node& node, const std::function<FilterValues(int)>& values) {
  const auto part = [&](const NodePtr& p) { return matches_node(*p, values); };
  switch (node.kind) {
    case Node::Kind::kAnd:
      return std::all_of(node.parts.begin(), node.parts.end(), part);
    case Node::Kind::kOr:
      return std::any_of(node.parts.begin(), node.parts.end(), part);
    case Node::Kind::kNot:
      return !part(node.parts[0]);
    case Node::Kind::kCompare: {
      const FilterValues all = values(node.field);
      const bool any = std::any_of(all.begin(), all.end(), [&](const FilterValue& v) { return holds(node, v); });
      return node.op == Node::Op::kUnequal ? !any : any;
    }
  }
  return false;
}

bool required(const Node& node, int id, std::string& out) {
  if (node.kind == Node::Kind::kAnd)
    return std::any_of(node.parts.begin(), node.parts.end(), [&](const NodePtr& p) { return required(*p, id, out); });
  if (node.kind != Node::Kind::kCompare || node.field != id || node.type != FieldType::kText ||
      node.op != Node::Op::kEqual)
    return false;
  out = node.text;
  return true;
}

}  // namespace

bool Filter::parse(std::string_view text, const std::vector<FilterField>& fields, Filter& out, std::string& error) {
  out.root_ = nullptr;
  if (text.size() > kFilterBytesMax) {
    error = "longer than " + std::to_string(kFilterBytesMax) + " bytes";
    return false;
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return true;
  return Parser(text, fields).run(out.root_, error);
}

bool Filter::matches(const std::function<FilterValues(int)>& values) const {
  return root_ == nullptr || matches_node(*root_, values);
}

bool Filter::required_text(int id, std::string& out) const { return root_ != nullptr && required(*root_, id, out); }

}  // namespace bellwether
