import Testing

@testable import ServiceKit

@Suite struct Base64URLTests {
  @Test(
    "The vectors of RFC 4648, without their padding",
    arguments: [
      ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
    ])
  func vectors(bytes: String, text: String) {
    #expect(Base64URL.encode(bytes.utf8) == text)
    #expect(Base64URL.decode(text.utf8).map { String(decoding: $0, as: UTF8.self) } == bytes)
  }

  @Test("All bytes come back")
  func roundTrip() {
    let bytes = (0...255).map { UInt8($0) }
    for count in 0...256 {
      #expect(Base64URL.decode(Base64URL.encode(bytes[..<count]).utf8) == Array(bytes[..<count]))
    }
    #expect(Base64URL.encode([0xfb, 0xff]) == "-_8")
  }

  @Test(
    "No second spelling is taken",
    arguments: ["Zg==", "Zh", "Zm9=", "Zm9v\n", "+_8", "-/8", "A", "AAAAA", " Zg", "Zm9"])
  func strict(text: String) {
    #expect(Base64URL.decode(text.utf8) == nil)
  }
}
