import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Why TLS did not come about, or ended, in words for people.
struct TLSFailure: Error, Hashable, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// The same, with the peer called what it is.
  func naming(_ peer: String) -> TLSFailure {
    TLSFailure(description.replacing("the peer", with: "the \(peer)"))
  }

  static let closed = TLSFailure("the peer closed the connection during the handshake")
  static let noHTTP2 = TLSFailure("the peer does not offer HTTP/2 (ALPN h2)")

  /// `nil` for an error that is not TLS's.
  ///
  /// - Parameter certificate: the peer's, if it has shown one: BoringSSL says only that it did not like it.
  init?(_ error: any Error, certificate: NIOSSLCertificate?) {
    switch error {
    case NIOSSLError.handshakeFailed(.sslError(let stack)), BoringSSLError.sslError(let stack):
      self = TLSFailure(stack, certificate: certificate)
    case let error as NIOSSLExtraError where error == .failedToValidateHostname:
      self.init(
        "the peer's certificate is not made out to the host that was asked for (\(certificate.map(PeerIdentity.init)?.description ?? "no names"))"
      )
    case NIOSSLError.unableToValidateCertificate, NIOSSLError.noCertificateToValidate:
      self.init("the peer has shown no certificate")
    case let error as NIOSSLError: self.init("\(error)")
    case let error as BoringSSLError: self.init("\(error)")
    case let error as TLSFailure: self = error
    default: return nil
    }
  }

  private init(_ stack: NIOBoringSSLErrorStack, certificate: NIOSSLCertificate?) {
    let reasons = stack.map(Self.reason)
    for reason in reasons {
      if reason == "CERTIFICATE_VERIFY_FAILED" {
        self.init(Self.fault(of: certificate))
        return
      }
      if let words = Self.words[reason] {
        self.init(words)
        return
      }
    }
    self = stack == [.eofDuringHandshake] ? .closed : TLSFailure(reasons.joined(separator: ", "))
  }

  /// `CERTIFICATE_VERIFY_FAILED`, out of `Error: 268435581 error:1000007d:SSL routines:OPENSSL_internal:…  at …`.
  private static func reason(_ error: BoringSSLInternalError) -> String {
    let text = error.description
    guard let start = text.firstRange(of: "OPENSSL_internal:") else { return text }
    return String(text[start.upperBound...].prefix { $0 != " " })
  }

  private static func fault(of certificate: NIOSSLCertificate?) -> String {
    guard let certificate else { return "the peer's certificate is not good" }
    let now = time(nil)
    if certificate.notValidAfter < now { return "the peer's certificate has expired" }
    if certificate.notValidBefore > now { return "the peer's certificate is not valid yet" }
    return "the peer's certificate is from an unknown certificate authority"
  }

  /// BoringSSL's reasons. Those with ALERT are what the peer says of us, by RFC 8446, 6.2; the others are our own.
  private static let words = [
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says our certificate has expired",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer says our certificate is from an unknown certificate authority",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer says our certificate is bad",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the peer does not take our kind of certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the peer says our certificate is revoked",
    "TLSV1_ALERT_ACCESS_DENIED": "the peer knows our certificate and denies access",
    "TLSV1_ALERT_CERTIFICATE_REQUIRED": "the peer requires a certificate, and we have shown none",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": noHTTP2.description,
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer takes none of our TLS versions (1.2 and 1.3)",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer found nothing to agree on; it may require a certificate of us",
    "TLSV1_ALERT_UNRECOGNIZED_NAME": "the peer does not know the host that was asked for",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has shown no certificate, and one is required",
    "UNSUPPORTED_PROTOCOL": "the peer offers no TLS version from 1.2 on",
    "NO_SHARED_CIPHER": "the peer shares no cipher with us",
    "HTTP_REQUEST": "the peer speaks plaintext HTTP",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
  ]
}
