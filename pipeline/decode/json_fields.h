// The contract's fields as proto3 JSON knows them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bellwether::decode {

enum class FieldType : uint8_t {
  kText,
  kTexts,
  kBool,
  kUint32,
  kUint64,
  kInt64,
  kSint32,
  kSint64,
  kEnum,
  kMessage,
  kTime
};

struct EnumNames {
  std::string_view prefix;                   // "LIKE_KIND_"
  std::span<const std::string_view> values;  // by number, without the prefix
};

struct MessageFields;

struct Field {
  std::string_view name;  // as in the .proto
  std::string_view json;  // in camelCase
  uint32_t number;
  FieldType type;
  bool oneof = false;                      // of the message's one oneof
  const EnumNames* names = nullptr;        // of an enum
  const MessageFields* message = nullptr;  // of a message
};

struct MessageFields {
  std::span<const Field> fields;
};

extern const MessageFields kEventFields;

}  // namespace bellwether::decode
