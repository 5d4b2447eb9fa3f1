import Postgres
import Testing

@testable import ServiceKit

@Suite("Cursors")
struct CursorSignerTests {
  private static let secret = SealingSecret.random()
  private static let tenant = UUID(high: 1, low: 2)
  private let signer = CursorSigner(secret, list: "things")
  private let place: [UInt8] = [1, 2, 3]

  @Test("A cursor leads back to the place it was made of", arguments: [nil, tenant])
  func known(tenant: UUID?) {
    #expect(signer.place(signer.text(place, tenant: tenant), tenant: tenant) == place)
    #expect(signer.place(signer.text([], tenant: tenant), tenant: tenant) == [])
  }

  @Test("Changed anywhere, it leads nowhere")
  func tampered() throws {
    let cursor = signer.text(place, tenant: Self.tenant)
    let bytes = try #require(Base64URL.decode(cursor.utf8))
    for index in bytes.indices {
      for bit in 0..<8 {
        var changed = bytes
        changed[index] ^= 1 << bit
        #expect(signer.place(Base64URL.encode(changed), tenant: Self.tenant) == nil)
      }
    }
    for length in bytes.indices {
      #expect(signer.place(Base64URL.encode(bytes.prefix(length)), tenant: Self.tenant) == nil)
    }
    for text in ["", "=", cursor + "A", cursor + "=", "ä"] {
      #expect(signer.place(text, tenant: Self.tenant) == nil)
    }
  }

  @Test("It is a list's, a tenant's and a service's own")
  func owners() {
    let cursor = signer.text(place, tenant: Self.tenant)
    #expect(signer.place(cursor, tenant: UUID(high: 1, low: 3)) == nil)
    #expect(signer.place(cursor, tenant: nil) == nil)
    #expect(CursorSigner(Self.secret, list: "others").place(cursor, tenant: Self.tenant) == nil)
    #expect(CursorSigner(.random(), list: "things").place(cursor, tenant: Self.tenant) == nil)
  }

  @Test("A secret of fewer than 32 bytes is none, and the same one gives the same keys")
  func secrets() throws {
    #expect(SealingSecret(String(repeating: "x", count: 31)) == nil)
    let text = String(repeating: "x", count: 32)
    let (one, same) = (try #require(SealingSecret(text)), try #require(SealingSecret(text)))
    let cursor = CursorSigner(one, list: "things").text(place, tenant: nil)
    #expect(CursorSigner(same, list: "things").place(cursor, tenant: nil) == place)
  }
}
