#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "pipeline/tools/csv.h"
#include "pipeline/tools/import_csv.h"
#include "pipeline/tools/import_edges.h"
#include "pipeline/tools/import_stackexchange.h"

namespace bellwether::import_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Import : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = ::testing::TempDir() + "import_test_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string put(const std::string& name, std::string_view text) {
    const std::string path = dir_ + "/" + name;
    OutputStream out;
    EXPECT_TRUE(out.open(path).ok());
    EXPECT_TRUE(out.write(text).ok());
    EXPECT_TRUE(out.finish().ok());
    return path;
  }
  std::string out() const { return dir_ + "/out.jsonl"; }
  std::vector<std::string> lines() const {
    std::ifstream in(out());
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }
  std::string all() const {
    std::string text;
    for (const std::string& line : lines()) text += line + "\n";
    return text;
  }

  std::string dir_;
  std::ostringstream err_;
};

// Edges
// -------------------------------------------------------------------------------------------------------------------------

TEST_F(Import, EdgesOfSeveralFilesComeOutByTime) {
  ImportEdgesOptions o;
  o.files = {put("a.txt.gz", "# a comment\n1 4 1254192988\n9 4 1254000000\n4 4 1254192990\n"),
             put("b.txt", "2 4 1254192989\n")};
  o.out = out(), o.sort_bytes = 1;
  ASSERT_EQ(run_import_edges(o, err_), 0) << err_.str();
  EXPECT_THAT(lines(),
              ElementsAre("{\"id\":\"e1-3\",\"time\":\"2009-09-26T21:20:00.000000Z\",\"user\":\"9\",\"like\":{\"post\":"
                          "\"4-2009-09-26\",\"author\":\"4\",\"kind\":\"LIKE_KIND_LIKE\"}}",
                          HasSubstr("\"id\":\"e1-2\""), HasSubstr("\"id\":\"e2-1\""), HasSubstr("\"id\":\"e1-4\"")));
}

TEST_F(Import, EdgesGatherPostsOverDays) {
  ImportEdgesOptions o;
  o.files = {put("a", "1 4 2592000\n1 4 5183999\n1 4 5184000\n")};  // days 30, 59, 60 since 1970
  o.out = out(), o.post_days = 30;
  ASSERT_EQ(run_import_edges(o, err_), 0);
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("4-1970-01-31"), HasSubstr("4-1970-01-31"), HasSubstr("4-1970-03-02")));
}

TEST_F(Import, EdgesThatCannotBeReadAreCounted) {
  ImportEdgesOptions o;
  o.files = {put("a", "1 4 1254192988\n1 4\n1 4 x\n1 4 5 6\n1 4 -5\n" + std::string(70, 'i') + " 4 7\n1 \xff 7\n")};
  o.out = out();
  ASSERT_EQ(run_import_edges(o, err_), 0);
  EXPECT_EQ(lines().size(), 1U);
  EXPECT_THAT(err_.str(), HasSubstr("read 7 edges, wrote 1 events"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 4: not \"src dst unix_seconds\" (first: " + o.files[0] + ":2)"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: id or name longer than 64 bytes"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: invalid UTF-8"));
  o.files = {put("b", "nothing here\n")};
  EXPECT_EQ(run_import_edges(o, err_), 1);
  o.files = {dir_ + "/missing"};
  EXPECT_EQ(run_import_edges(o, err_), 1);
  o.files = {};
  EXPECT_EQ(run_import_edges(o, err_), 2);
}

// Tables
// ------------------------------------------------------------------------------------------------------------------------

TEST_F(Import, CsvReaderFollowsRfc4180) {
  CsvReader in;
  ASSERT_TRUE(in.open(put("a.csv",
                          "\xef\xbb\xbf"
                          "a,b,c\r\n1,\"x,\"\"y\"\"\nz\",3\r\n\n,,\n4,5,6"))
                  .ok());
  EXPECT_THAT(in.columns(), ElementsAre("a", "b", "c"));
  std::vector<std::string_view> fields;
  ASSERT_EQ(in.next(fields), CsvReader::Got::kRow);
  EXPECT_THAT(fields, ElementsAre("1", "x,\"y\"\nz", "3"));
  EXPECT_EQ(in.line(), 2U);
  ASSERT_EQ(in.next(fields), CsvReader::Got::kRow);
  EXPECT_THAT(fields, ElementsAre("", "", ""));
  EXPECT_EQ(in.line(), 5U);
  ASSERT_EQ(in.next(fields), CsvReader::Got::kRow);
  EXPECT_THAT(fields, ElementsAre("4", "5", "6"));
  EXPECT_EQ(in.row(), 3U);
  EXPECT_EQ(in.next(fields), CsvReader::Got::kEnd);
}

TEST_F(Import, CsvReaderNamesTheLineOfABrokenQuote) {
  std::vector<std::string_view> fields;
  CsvReader open;
  ASSERT_TRUE(open.open(put("a.csv", "a,b\n1,2\n3,\"4\n5\n")).ok());
  EXPECT_EQ(open.next(fields), CsvReader::Got::kRow);
  EXPECT_EQ(open.next(fields), CsvReader::Got::kError);
  EXPECT_THAT(open.status().message, HasSubstr("a.csv:3: a quoted field that never ends"));
  CsvReader behind;
  ASSERT_TRUE(behind.open(put("b.csv", "a,b\n\"1\"x,2\n")).ok());
  EXPECT_EQ(behind.next(fields), CsvReader::Got::kError);
  EXPECT_THAT(behind.status().message, HasSubstr("b.csv:2: text behind a closing quote"));
  CsvReader twice;
  EXPECT_THAT(twice.open(put("c.csv", "a,a\n")).message, HasSubstr("\"a\" stands twice"));
}

TEST_F(Import, CsvLikesWithConditionsAndComposedIds) {
  ImportCsvOptions o;
  o.file =
      put("v.csv.zst",
          "timestamp_ms,conv,comment,author,voter,vote\n"
          "1420947465918,c,17,7,1,0\n1420947438403,c,17,7,1,1\n1420947432236,c,25,7,1,1\n1420947432000,d,25,,1,1\n");
  o.out = out(), o.kind = "like", o.where = {"vote=1"};
  o.map = {"user=conv+voter,post=conv+comment", "author=conv+author,time=timestamp_ms"};
  ASSERT_EQ(run_import_csv(o, err_), 0) << err_.str();
  EXPECT_THAT(
      lines(),
      ElementsAre("{\"id\":\"like-3\",\"time\":\"2015-01-11T03:37:12.236000Z\",\"user\":\"c/1\",\"like\":{\"post\":"
                  "\"c/25\",\"author\":\"c/7\",\"kind\":\"LIKE_KIND_LIKE\"}}",
                  HasSubstr("\"like-2\"")));
  EXPECT_THAT(err_.str(), HasSubstr("read 4 rows, 1 not asked for, wrote 2 events"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: author: empty"));
}

TEST_F(Import, CsvJoinAddsColumnsOfTheSameKey) {
  const std::string posts = put("posts.csv", "id,writer\np1,ann\np2,\"bob, b\"\np2,other\n");
  ImportCsvOptions o;
  o.file = put("likes.csv", "who,id,at\nx,p2,2024-01-02 03:04:05\ny,p1,2024-01-01\nz,p9,2024-01-01\n");
  o.out = out(), o.kind = "like", o.join = {posts + ":id"};
  o.map = {"user=who,post=id,author=writer,time=at"};
  o.fixed = {"kind=share"};
  ASSERT_EQ(run_import_csv(o, err_), 0) << err_.str();
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("\"author\":\"ann\",\"kind\":\"LIKE_KIND_SHARE\""),
                                   HasSubstr("\"author\":\"bob, b\"")));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: author: empty"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: joined row whose key stood before"));
}

TEST_F(Import, CsvTimesOfEveryForm) {
  ImportCsvOptions o;
  o.out = out(), o.kind = "account", o.map = {"user=u,time=t"};
  o.file = put("a.csv",
               "u,t\n1,1254192988\n2,1254192988000\n3,1254192988000000\n4,1254192988.25\n5,2009-09-29T02:56:28Z\n6,"
               "soon\n7,-5\n");
  ASSERT_EQ(run_import_csv(o, err_), 0) << err_.str();
  ASSERT_EQ(lines().size(), 5U);
  int whole = 0;
  for (const std::string& line : lines()) whole += line.find("\"2009-09-29T02:56:28.000000Z\"") != std::string::npos;
  EXPECT_EQ(whole, 4);
  EXPECT_THAT(lines().back(), HasSubstr("02:56:28.250000Z"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: time: not a time"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: time: time out of range"));
  o.time_unit = "ms", o.file = put("b.csv", "u,t\n1,5\n");
  ASSERT_EQ(run_import_csv(o, err_), 0);
  EXPECT_THAT(all(), HasSubstr("1970-01-01T00:00:00.005000Z"));
}

TEST_F(Import, CsvPostsWithTopicsAndBadValues) {
  ImportCsvOptions o;
  o.out = out(), o.kind = "post", o.map = {"id=n,user=u,time=t,post=p,kind=k,topics=tags,length=len"};
  o.file = put("a.csv", "n,u,t,p,k,tags,len\nA,1,5,p1,Idea,a b;c,12\nB,1,5,p2,poem,,1\nC,1,5,p3,idea,,-1\n");
  ASSERT_EQ(run_import_csv(o, err_), 0) << err_.str();
  EXPECT_THAT(
      lines(),
      ElementsAre("{\"id\":\"A\",\"time\":\"1970-01-01T00:00:05.000000Z\",\"user\":\"1\",\"post\":{\"post\":\"p1\","
                  "\"kind\":\"POST_KIND_IDEA\",\"action\":\"POST_ACTION_PUBLISHED\",\"topics\":[\"a\",\"b\",\"c\"],"
                  "\"length\":12}}"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: kind: not a value of its enum"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped 1: length: number out of range"));
}

TEST_F(Import, CsvUsageErrorsNameWhatExists) {
  ImportCsvOptions good;
  good.out = out(), good.kind = "like", good.file = put("a.csv", "u,p,a,t\n1,2,3,4\n");
  good.map = {"user=u,post=p,author=a,time=t"};
  const auto fails = [&](auto change, const std::string& says) {
    ImportCsvOptions o = good;
    change(o);
    std::ostringstream err;
    EXPECT_EQ(run_import_csv(o, err), 2) << err.str();
    EXPECT_THAT(err.str(), HasSubstr(says));
  };
  fails([](auto& o) { o.kind = "vote"; }, "unknown kind \"vote\"; there are: like, post");
  fails([](auto& o) { o.map = {"user=x,author=a,time=t"}; }, "no column \"x\"; " + good.file + " has u, p, a, t");
  fails([](auto& o) { o.map = {"colour=u"}; }, "has no field \"colour\"; fields: id, time*, user*");
  fails([](auto& o) { o.map = {"user=u,author=a"}; }, "needs --map time=COLUMN");
  fails([](auto& o) { o.map = {"time=t,author=a"}; }, "needs --map user=COLUMN");
  fails([](auto& o) { o.fixed = {"kind=love"}; }, "like, share, follow, dislike, view");
  fails([](auto& o) { o.where = {"v=1"}; }, "no column \"v\"");
  fails([](auto& o) { o.time_unit = "h"; }, "--time-unit");
  EXPECT_EQ(run_import_csv(good, err_), 0) << err_.str();
}

// Stack Exchange
// ----------------------------------------------------------------------------------------------------------------

constexpr const char* kHead = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

class StackExchange : public Import {
 protected:
  void SetUp() override {
    Import::SetUp();
    put("Posts.xml",
        std::string(kHead) +
            "<posts>\n"
            "<row Id=\"1\" PostTypeId=\"1\" CreationDate=\"2011-08-17T20:18:56.507\" "
            "Body=\"&lt;p&gt;\xc3\xa9t\xc3\xa9\" "
            "OwnerUserId=\"5\" Tags=\"&lt;a&gt;&lt;b-c&gt;\" AcceptedAnswerId=\"2\" />\n"
            "<row Id=\"2\" PostTypeId=\"2\" ParentId=\"1\" CreationDate=\"2011-08-18T10:00:00.000\" OwnerUserId=\"6\" "
            "/>\n"
            "<row Id=\"3\" PostTypeId=\"2\" ParentId=\"1\" CreationDate=\"2011-08-18T11:00:00.000\" />\n"
            "<row Id=\"4\" PostTypeId=\"5\" CreationDate=\"2011-08-18T11:00:00.000\" OwnerUserId=\"6\" />\n"
            "<row Id=\"5\" PostTypeId=\"1\" CreationDate=\"2011-08-19T00:00:00.000\" OwnerUserId=\"6\" "
            "AcceptedAnswerId=\"6\" Tags=\"|x|y|\" />\n"
            "<row Id=\"6\" PostTypeId=\"2\" ParentId=\"5\" CreationDate=\"2011-08-19T01:00:00.000\" OwnerUserId=\"5\" "
            "/>\n"
            "</posts>\n");
    put("Comments.xml.gz",
        std::string(kHead) +
            "<comments><row Id=\"1\" PostId=\"2\" Text=\"no &amp; yes\" CreationDate=\"2011-08-18T12:00:00.000\" "
            "UserId=\"5\"/><row Id=\"2\" PostId=\"2\" Text=\"x\" "
            "CreationDate=\"2011-08-18T12:00:00.000\"/></comments>");
    put("Votes.xml.zst",
        std::string(kHead) +
            "<votes>\n<row Id=\"1\" PostId=\"1\" VoteTypeId=\"2\" CreationDate=\"2011-08-17T00:00:00.000\" />\n"
            "<row Id=\"2\" PostId=\"1\" VoteTypeId=\"3\" CreationDate=\"2011-08-19T00:00:00.000\" />\n"
            "<row Id=\"3\" PostId=\"2\" VoteTypeId=\"1\" CreationDate=\"2011-08-18T00:00:00.000\" />\n"
            "<row Id=\"4\" PostId=\"1\" VoteTypeId=\"5\" UserId=\"6\" CreationDate=\"2011-08-20T00:00:00.000\" />\n"
            "<row Id=\"5\" PostId=\"1\" VoteTypeId=\"5\" CreationDate=\"2011-08-20T00:00:00.000\" />\n"
            "<row Id=\"6\" PostId=\"99\" VoteTypeId=\"2\" CreationDate=\"2011-08-20T00:00:00.000\" />\n"
            "<row Id=\"7\" PostId=\"3\" VoteTypeId=\"2\" CreationDate=\"2011-08-20T00:00:00.000\" />\n"
            "<row Id=\"8\" PostId=\"1\" VoteTypeId=\"10\" CreationDate=\"2011-08-20T00:00:00.000\" />\n</votes>");
    put("Users.xml",
        "<users><row Id=\"-1\" CreationDate=\"2011-08-17T00:00:00.000\"/><row Id=\"5\" "
        "CreationDate=\"2011-08-17T01:00:00.000\"/><row Id=\"6\"/></users>");
    put("Badges.xml",
        "<badges><row Id=\"1\" UserId=\"5\" Name=\"Teacher\" Date=\"2011-08-20T00:00:00.000\" Class=\"3\" "
        "TagBased=\"False\"/><row Id=\"2\" UserId=\"5\" Name=\"verbs\" Date=\"2011-08-21T00:00:00.000\" Class=\"2\" "
        "TagBased=\"True\"/></badges>");
    o_.dir = dir_, o_.out = out();
  }
  ImportStackExchangeOptions o_;
};

TEST_F(StackExchange, MapsEveryTable) {
  ASSERT_EQ(run_import_stackexchange(o_, err_), 0) << err_.str();
  const auto at = [](const char* id, const char* time, const std::string& rest) {
    return std::string("{\"id\":\"") + id + "\",\"time\":\"2011-08-" + time + "Z\"," + rest + "}";
  };
  const auto like = [](const char* user, const char* kind) {
    return std::string("\"user\":\"") + user + "\",\"like\":{\"post\":\"p1\",\"author\":\"5\",\"kind\":\"LIKE_KIND_" +
           kind + "\",\"postKind\":\"POST_KIND_QUESTION\"}";
  };
  EXPECT_THAT(
      lines(),
      ElementsAre(
          at("user--1", "17T00:00:00.000000", "\"user\":\"-1\",\"account\":{\"action\":\"ACCOUNT_ACTION_REGISTERED\"}"),
          at("role--1", "17T00:00:00.000000",
             "\"user\":\"-1\",\"account\":{\"action\":\"ACCOUNT_ACTION_ROLE\",\"name\":\"bot\"}"),
          at("user-5", "17T01:00:00.000000", "\"user\":\"5\",\"account\":{\"action\":\"ACCOUNT_ACTION_REGISTERED\"}"),
          at("post-1", "17T20:18:56.507000",
             "\"user\":\"5\",\"post\":{\"post\":\"p1\",\"kind\":\"POST_KIND_QUESTION\",\"action\":\"POST_ACTION_"
             "PUBLISHED\",\"topics\":"
             "[\"a\",\"b-c\"],\"length\":6}"),
          at("vote-1", "17T23:59:59.999999", like("voter-1", "LIKE")),
          at("post-2", "18T10:00:00.000000",
             "\"user\":\"6\",\"post\":{\"post\":\"p2\",\"kind\":\"POST_KIND_ANSWER\",\"action\":\"POST_ACTION_"
             "PUBLISHED\",\"parent\":"
             "\"p1\",\"parentAuthor\":\"5\"}"),
          at("comment-1", "18T12:00:00.000000",
             "\"user\":\"5\",\"post\":{\"post\":\"c1\",\"kind\":\"POST_KIND_COMMENT\",\"action\":\"POST_ACTION_"
             "PUBLISHED\",\"parent\":"
             "\"p2\",\"parentAuthor\":\"6\",\"length\":8}"),
          at("accept-2", "18T23:59:59.999999",
             "\"user\":\"5\",\"post\":{\"post\":\"p2\",\"kind\":\"POST_KIND_ANSWER\",\"action\":\"POST_ACTION_"
             "ACCEPTED\",\"author\":\"6\","
             "\"parent\":\"p1\",\"parentAuthor\":\"5\"}"),
          HasSubstr("\"topics\":[\"x\",\"y\"]"), at("vote-2", "19T00:00:00.000000", like("voter-2", "DISLIKE")),
          HasSubstr("\"id\":\"post-6\""),
          HasSubstr("\"id\":\"accept-6\",\"time\":\"2011-08-19T01:00:00.000000Z\",\"user\":\"6\""),
          at("vote-4", "20T00:00:00.000000", like("6", "VIEW")),
          at("badge-2", "21T00:00:00.000000",
             "\"user\":\"5\",\"account\":{\"action\":\"ACCOUNT_ACTION_CERTIFIED\",\"name\":\"verbs/silver\"}")));
  for (const char* reason : {"skipped 1: post of type 5", "skipped 1: post whose author is deleted",
                             "skipped 1: comment whose author is deleted", "skipped 1: favourite without a user",
                             "skipped 1: vote on a post that is not in the dump",
                             "skipped 1: vote on a post whose author is deleted", "skipped 1: vote of type 10",
                             "skipped 1: badge that is not of a tag", "skipped 1: user without a CreationDate"})
    EXPECT_THAT(err_.str(), HasSubstr(reason));
}

TEST_F(StackExchange, OrderOnDiskIsTheSame) {
  ASSERT_EQ(run_import_stackexchange(o_, err_), 0);
  const std::string in_memory = all();
  o_.sort_bytes = 1;
  ASSERT_EQ(run_import_stackexchange(o_, err_), 0);
  EXPECT_EQ(all(), in_memory);
}

TEST_F(StackExchange, HostileXmlNamesFileAndLine) {
  const auto fails = [&](const std::string& posts, const std::string& says) {
    put("Posts.xml", posts);
    std::ostringstream err;
    EXPECT_EQ(run_import_stackexchange(o_, err), 1);
    EXPECT_THAT(err.str(), HasSubstr("Posts.xml:" + says));
  };
  fails(
      "<?xml version=\"1.0\"?>\n<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>\n<posts><row "
      "Id=\"&b;\"/></posts>",
      "2: a document type is not allowed");
  fails("<posts>\n<row Id=\"1\"\n</posts>", "3: broken XML");
  fails("<posts>\n<row Id=\"1\" />\n", "3: broken XML");
  fails("<posts><row Id=\"&nope;\"/></posts>", "1: broken XML: undefined entity");
  fails("<posts>\n<row Id=\"1\" Body=\"" + std::string(17 << 20, 'x') + "\"/></posts>", "2: no row ends within 16 MiB");
}

TEST_F(StackExchange, MissingTables) {
  std::filesystem::remove(dir_ + "/Votes.xml.zst");
  EXPECT_EQ(run_import_stackexchange(o_, err_), 0);
  EXPECT_THAT(err_.str(), HasSubstr("no Votes.xml"));
  std::filesystem::remove(dir_ + "/Posts.xml");
  EXPECT_EQ(run_import_stackexchange(o_, err_), 1);
  o_.dir = dir_ + "/nowhere";
  EXPECT_EQ(run_import_stackexchange(o_, err_), 1);
}

}  // namespace
}  // namespace bellwether::import_test
