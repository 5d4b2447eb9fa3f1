import NIOCore
import NIOHTTP1
import RPC

/// The form in which a client would like its answer: compressed, or not at all when it has it already.
struct Preferences: Sendable {
  private let isRead: Bool
  private let headers: HTTPHeaders

  init(_ request: HTTPRequestHead) {
    isRead = request.method == .GET || request.method == .HEAD
    headers = request.headers
  }

  /// Less is not worth the work: it fits into one packet as it is.
  static let minCompressedBytes = 1024

  /// The answer as it is to be sent.
  func fulfilled(_ response: HTTPResponse, _ compressors: Compressors) async -> HTTPResponse {
    var response = response
    let coding = negotiate(&response.head, bytes: response.body.readableBytes)
    if response.head.isValidated, isRead, response.head.status == 200,
      response.body.readableBytes <= EntityTag.maxBodyBytes
    {
      // Unless it may be kept for longer.
      if response.head.cacheControl == HTTPResponseHead.notKept {
        response.head.cacheControl = "private, no-cache"
      }
      let tag = EntityTag(of: response.body, coding: coding)
      if let known = condition, tag.matches(ifNoneMatch: known) {
        var head = HTTPResponseHead(status: 304, headers: [("ETag", tag.value)])
        (head.cacheControl, head.vary) = (response.head.cacheControl, response.head.vary)
        return HTTPResponse(head)
      }
      guard coding == .gzip else {
        response.head.headers.append(("ETag", tag.value))
        return response
      }
      guard let body = await compressors.compressed(response.body) else {
        response.head.headers.append(("ETag", EntityTag(of: response.body, coding: .identity).value))
        return response
      }
      response.head.headers += [("ETag", tag.value), ("Content-Encoding", "gzip")]
      response.body = body
      return response
    }
    if coding == .gzip, let body = await compressors.compressed(response.body) {
      response.head.headers.append(("Content-Encoding", "gzip"))
      response.body = body
    }
    return response
  }

  /// How a body that is sent as it comes is to be coded.
  func codingOfStream(_ head: inout HTTPResponseHead) -> ContentCoding {
    negotiate(&head, bytes: Self.minCompressedBytes)
  }

  /// Says also that the answer depends on what was asked, where it does.
  private func negotiate(_ head: inout HTTPResponseHead, bytes: Int) -> ContentCoding {
    guard head.status.hasBody, let type = head.contentType, ContentCoding.isWorthIt(for: type),
      !head.headers.contains(where: { $0.name.lowercased() == "content-encoding" })
    else { return .identity }
    // Small ones are never compressed, except for who takes nothing else.
    guard bytes >= Self.minCompressedBytes || bytes > 0 && encodings?.contains("q=0") == true else {
      return .identity
    }
    head.vary.append("Accept-Encoding")
    guard let encodings, ContentCoding.preferred(by: encodings) == .gzip else {
      // Who takes neither is sent what there is (RFC 9110, 15.5.7): better than nothing.
      return .identity
    }
    guard bytes < Self.minCompressedBytes else { return .gzip }
    return ContentCoding.preferred(by: "\(encodings), gzip;q=0") == nil ? .gzip : .identity
  }

  private var encodings: String? { combined("accept-encoding") }
  private var condition: String? { combined("if-none-match") }

  /// The values of a field that is a list; it may come in several lines.
  private func combined(_ name: String) -> String? {
    let values = headers[name]
    return values.count > 1 ? values.joined(separator: ", ") : values.first
  }
}
