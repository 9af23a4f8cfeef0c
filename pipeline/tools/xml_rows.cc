#include "pipeline/tools/xml_rows.h"

#include <expat.h>

#include <memory>
#include <vector>

#include "pipeline/tools/lines.h"

namespace bellwether {
namespace {

constexpr int kChunk = 1 << 16;
constexpr int64_t kMaxRow = 16 << 20;

struct Reading {
  XML_Parser parser;
  const std::string* path;
  const std::function<Status(const XmlRow&)>* row;
  Status status;
  int64_t last_row_at = 0;

  void fail(const std::string& what) {
    if (!status.ok()) return;
    status = Status::error(*path + ":" + std::to_string(XML_GetCurrentLineNumber(parser)) + ": " + what);
    XML_StopParser(parser, XML_FALSE);
  }
};

void on_element(void* data, const XML_Char* name, const XML_Char** attributes) {
  Reading& r = *static_cast<Reading*>(data);
  r.last_row_at = XML_GetCurrentByteIndex(r.parser);
  if (!r.status.ok() || std::string_view(name) != "row") return;
  r.status = (*r.row)(XmlRow(attributes, XML_GetCurrentLineNumber(r.parser)));
  if (!r.status.ok()) XML_StopParser(r.parser, XML_FALSE);
}

void on_doctype(void* data, const XML_Char*, const XML_Char*, const XML_Char*, int) {
  static_cast<Reading*>(data)->fail("a document type is not allowed in a dump");
}

}  // namespace

std::string_view XmlRow::get(std::string_view name) const {
  for (const char** a = attributes_; *a != nullptr; a += 2)
    if (name == a[0]) return a[1];
  return {};
}

Status read_xml_rows(const std::string& path, const std::function<Status(const XmlRow&)>& row,
                     const std::function<void(uint64_t, uint64_t)>& progress) {
  InputStream in;
  if (Status s = in.open(path); !s.ok()) return s;
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, void (*)(XML_Parser)> parser(XML_ParserCreate(nullptr),
                                                                                        XML_ParserFree);
  if (!parser) return Status::error(path + ": no memory for the XML parser");
  Reading reading{parser.get(), &path, &row, {}};
  XML_SetUserData(parser.get(), &reading);
  XML_SetStartElementHandler(parser.get(), on_element);
  XML_SetStartDoctypeDeclHandler(parser.get(), on_doctype);
  int64_t fed = 0;
  for (bool end = false; !end;) {
    void* buffer = XML_GetBuffer(parser.get(), kChunk);
    if (buffer == nullptr) return Status::error(path + ": no memory for the XML parser");
    size_t got = 0;
    if (Status s = in.read(static_cast<char*>(buffer), kChunk, got); !s.ok()) return s;
    end = got == 0;
    fed += static_cast<int64_t>(got);
    const XML_Status parsed = XML_ParseBuffer(parser.get(), static_cast<int>(got), end ? XML_TRUE : XML_FALSE);
    if (!reading.status.ok()) return reading.status;
    if (parsed != XML_STATUS_OK) {
      reading.fail(std::string("broken XML: ") + XML_ErrorString(XML_GetErrorCode(parser.get())));
      return reading.status;
    }
    if (fed - reading.last_row_at > kMaxRow) {
      reading.fail("no row ends within 16 MiB");
      return reading.status;
    }
    if (progress) progress(in.raw_bytes(), in.raw_total());
  }
  return Status::fine();
}

}  // namespace bellwether
