internal import CNghttp2

/// The libnghttp2 this program was started with.
package enum HTTP2Library {
  /// 1.52.0, Debian 12's. What Debian has mended in it since (u1: Rapid Reset, u2: CONTINUATION, u3: an assertion) does
  /// not show in the number; but we call what u1 and u2 brought, so a program does not start without them.
  private static let oldest = (text: "1.52.0", number: 0x01_34_00)

  /// Throws when it is older than what our limits rely on.
  package static func check() throws(HTTP2LibraryError) {
    guard nghttp2_version(Int32(oldest.number)) == nil else { return }
    let found = nghttp2_version(0)?.pointee.version_str.map { String(cString: $0) }
    throw HTTP2LibraryError(found: found ?? "unknown", needed: oldest.text)
  }
}

package struct HTTP2LibraryError: Error, CustomStringConvertible {
  let found: String
  let needed: String
  package var description: String { "libnghttp2 is \(found); \(needed) or newer is needed" }
}
