import Foundation
import Testing

@testable import Edge

/// RFC 8259 by its cases: alone, and where a request can hold them.
@Suite struct JSONGrammarTests {
  /// Members of the sample message under which a value of any kind may be sent, right or wrong.
  private static let members = ["free", "text", "real", "numbers", "inner", "nope"]

  private static func object(_ member: String, _ value: [UInt8]) -> [UInt8] {
    Array("{\"\(member)\":".utf8) + value + Array("}".utf8)
  }

  @Test("Takes every text the grammar has", arguments: JSONCases.accepted + JSONCases.acceptedByChoice)
  func accepted(text: JSONCase) throws {
    #expect(JSONScannerTests.check(text.bytes) == nil)
    for member in Self.members { _ = try Transcoding.read(Self.object(member, text.bytes)) }
  }

  @Test(
    "Refuses every other text, wherever it stands", arguments: JSONCases.refused + JSONCases.refusedByChoice)
  func refused(text: JSONCase) {
    #expect(JSONScannerTests.check(text.bytes) != nil)
    for member in Self.members {
      #expect(throws: JSONSyntaxError.self) { try Transcoding.read(Self.object(member, text.bytes)) }
    }
  }

  @Test(
    "Free-form JSON is kept and written to the byte",
    arguments: JSONCases.accepted + JSONCases.acceptedByChoice)
  func kept(text: JSONCase) throws {
    let object = Self.object("x", text.bytes)
    let outcome = try Transcoding.read(Self.object("free", object))
    #expect(outcome.summary.isEmpty)
    let written = try Transcoding.write(outcome.wire)
    #expect(Transcoding.value(of: "free", in: written).map { Array($0.utf8) } == object)
  }

  @Test("What no store of JSON keeps apart is JSON, and still refused", arguments: JSONCases.doubtful)
  func doubtful(text: JSONCase, code: String) throws {
    #expect(JSONScannerTests.check(text.bytes) == nil)
    let outcome = try Transcoding.read(Self.object("free", Self.object("x", text.bytes)))
    #expect(outcome.violations.map(\.code) == [code])
  }

  @Test(
    "Numbers of any size are numbers, but a double holds none beyond its range",
    arguments: JSONCases.acceptedByChoice)
  func ranges(text: JSONCase) throws {
    let number = String(decoding: text.bytes.dropFirst().dropLast(), as: UTF8.self)
    let isTooLarge = Double(number)?.isInfinite ?? true
    let outcome = try Transcoding.read("{\"real\":\(number)}")
    #expect(outcome.summary == (isTooLarge ? ["/real OUT_OF_RANGE"] : []))
  }

  /// The files of JSONTestSuite, if somebody has them here: `y_` must be taken, `n_` refused, `i_` is ours to say.
  @Test("Agrees with JSONTestSuite", .enabled(if: corpus != nil, "MAINSTREET_JSON_CORPUS names no folder"))
  func corpusAgrees() throws {
    let folder = URL(filePath: try #require(corpus))
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(files.count >= 318)
    for name in files {
      let text = [UInt8](try Data(contentsOf: folder.appending(path: name)))
      let isTaken = JSONScannerTests.check(text) == nil
      switch name.first {
      case "y": #expect(isTaken, "\(name)")
      case "n": #expect(!isTaken, "\(name)")
      default: #expect(isTaken == JSONCases.acceptedByChoice.contains { $0.bytes == text }, "\(name)")
      }
    }
  }
}

private let corpus = ProcessInfo.processInfo.environment["MAINSTREET_JSON_CORPUS"]
