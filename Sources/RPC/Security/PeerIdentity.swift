import NIOSSL

/// Who the peer of a connection is by its certificate, which an authority we believe has signed.
///
/// Made once for a connection. A class because each of its calls has it.
package final class PeerIdentity: Sendable, CustomStringConvertible {
  /// The most specific common name of the subject. What certificates are made out to now is in the names below.
  package let commonName: String?
  package let dnsNames: [String]
  package let uris: [String]
  package let emails: [String]
  /// Lower-case hexadecimal; unique for its issuer.
  package let serialNumber: String

  init(_ certificate: NIOSSLCertificate) {
    var dnsNames: [String] = []
    var uris: [String] = []
    var emails: [String] = []
    for name in certificate._subjectAlternativeNames() {
      // These are IA5 strings. One with anything else in it, such as a NUL to fool C, is no name.
      guard name.contents.allSatisfy({ (0x20...0x7e).contains($0) }) else { continue }
      let text = String(decoding: name.contents, as: UTF8.self)
      switch name.nameType {
      case .dnsName: dnsNames.append(text)
      case .uri: uris.append(text)
      case .email: emails.append(text)
      default: break
      }
    }
    self.dnsNames = dnsNames
    self.uris = uris
    self.emails = emails
    commonName = (try? certificate.toDERBytes()).flatMap { SubjectName.commonName(ofCertificate: $0) }
    serialNumber = certificate.serialNumber.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  package var description: String {
    let names = dnsNames + uris + emails
    return names.isEmpty ? commonName ?? "serial number \(serialNumber)" : names.joined(separator: ", ")
  }
}
