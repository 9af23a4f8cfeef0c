#include "config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "config/text.h"

namespace bellwether {
namespace {

// Thrown through the parser by the builder and caught in parse_yaml: the only way to stop a parse early.
struct Refused {
  int line;
  std::string why;
};

class Builder : public YAML::EventHandler {
 public:
  YamlNode root;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{mark.line + 1, "more than one document"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    refuse_anchor(mark, anchor);
    add(mark, std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_anchor(mark, 1); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (value.size() > kYamlScalarBytesMax) {
      throw Refused{mark.line + 1, "a value of more than " + std::to_string(kYamlScalarBytesMax) + " bytes"};
    }
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.plain = tag != "!";
    node.text = value;
    add(mark, std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    YamlNode node;
    std::optional<YamlNode> key;  // of a map: a key that waits for its value
  };

  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) throw Refused{mark.line + 1, "anchors and aliases are not allowed"};
  }
  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") throw Refused{mark.line + 1, "tags are not allowed: " + quoted(tag)};
  }
  void start(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (!open_.empty() && open_.back().node.kind == YamlNode::Kind::kMap && !open_.back().key) {
      throw Refused{mark.line + 1, "a key must be a name, not a list or map"};
    }
    if (open_.size() >= kYamlDepthMax) {
      throw Refused{mark.line + 1, "nested deeper than " + std::to_string(kYamlDepthMax) + " levels"};
    }
    Open open;
    open.node.kind = kind;
    open.node.line = mark.line + 1;
    open_.push_back(std::move(open));
  }
  void end() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    attach(std::move(node));
  }
  void add(const YAML::Mark& mark, YamlNode node) {
    if (++nodes_ > kYamlNodesMax)
      throw Refused{mark.line + 1, "more than " + std::to_string(kYamlNodesMax) + " values"};
    node.line = mark.line + 1;
    if (!open_.empty() && open_.back().node.kind == YamlNode::Kind::kMap && !open_.back().key) {
      if (node.kind != YamlNode::Kind::kScalar || node.text.empty()) throw Refused{node.line, "a key without a name"};
      open_.back().key = std::move(node);
      return;
    }
    attach(std::move(node));
  }
  void attach(YamlNode node) {
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.key) {
      node.key = std::move(parent.key->text);
      node.key_line = parent.key->line;
      parent.key.reset();
    }
    parent.node.members.push_back(std::move(node));
  }

  std::vector<Open> open_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

Result<YamlNode> broken(const std::string& name, int64_t line, const std::string& why) {
  return Result<YamlNode>::failed({name + ":" + std::to_string(line) + ": broken YAML: " + why});
}

int64_t line_of(std::string_view text, size_t offset) {
  return 1 + std::count(text.begin(), text.begin() + offset, '\n');
}

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, const std::string& name) {
  if (text.size() > kYamlBytesMax) {
    return Result<YamlNode>::failed({name + ": is too large: more than " + std::to_string(kYamlBytesMax) + " bytes"});
  }
  // The parser would read UTF-16 and replace broken bytes; what a person cannot see in an editor is refused instead.
  if (const auto offset = invalid_utf8_at(text)) return broken(name, line_of(text, *offset), "not valid UTF-8");
  const auto control = std::find_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F;
  });
  if (control != text.end()) return broken(name, line_of(text, control - text.begin()), "a control character");

  Builder builder;
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return broken(name, refused.line, refused.why);
  } catch (const YAML::Exception& e) {
    return broken(name, std::max(e.mark.line, 0) + 1, e.msg);
  }
  return std::move(builder.root);
}

}  // namespace bellwether
