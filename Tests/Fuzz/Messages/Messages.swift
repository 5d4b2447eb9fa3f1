import HTTP2
import NIOCore

@testable import RPC

/// What a peer writes above HTTP/2: messages cut from DATA, compressed or not, and the values of header fields. The
/// first byte picks which.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  guard let choice = bytes.first else { return 0 }
  let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
  switch choice % 8 {
  case 0: receive(rest, .identity)
  case 1: receive(rest, .gzip)
  case 2: compress(rest)
  case 3: readHeaders(rest)
  case 4: readTimeout(rest)
  case 5: readPercent(rest)
  case 6: readBase64(rest)
  default: readDetails(rest)
  }
  return 0
}

private let maxMessageBytes = 64 << 10

/// The first byte is how many bytes come at once.
private func receive(_ bytes: UnsafeRawBufferPointer, _ encoding: MessageEncoding) {
  guard let first = bytes.first else { return }
  var rest = bytes.dropFirst()
  let step = max(1, Int(first))
  var messages = InboundMessages(maxMessageBytes: maxMessageBytes)
  messages.encoding = encoding
  var owed = 0
  do {
    while !rest.isEmpty {
      let part = rest.prefix(step)
      rest = rest.dropFirst(step)
      try messages.receive(UnsafeRawBufferPointer(rebasing: part))
      owed += part.count
      if part.count % 2 == 0, let message = try messages.take() {
        precondition(message.readableBytes <= maxMessageBytes, "a message is over the limit")
      }
      owed -= messages.takeReturnable()
      precondition(owed >= 0, "more bytes are given back than came")
    }
    while let message = try messages.take() {
      precondition(message.readableBytes <= maxMessageBytes, "a message is over the limit")
    }
  } catch {
    precondition(!error.message.isEmpty)
    return
  }
  precondition(owed == messages.takeReturnable(), "bytes are kept of messages that were taken")
  precondition(!messages.isAtBoundary || messages.bufferedBytes == 0, "bytes are counted that are gone")
}

private func compress(_ bytes: UnsafeRawBufferPointer) {
  let message = ByteBuffer(bytes: bytes)
  let compressed = WireMessage(compressing: message)
  precondition(
    (try? compressed.inflated(limit: bytes.count)) == message, "a message does not survive compression")
}

/// Fields end with a NUL; their names with a colon, which is not the first byte.
private func readHeaders(_ bytes: UnsafeRawBufferPointer) {
  var request = RequestHead(maxBytes: 8 << 10)
  var response = ResponseHead(maxBytes: 8 << 10)
  for field in bytes.split(separator: 0) {
    guard let colon = field.dropFirst().firstIndex(of: UInt8(ascii: ":")) else { continue }
    let name = UnsafeRawBufferPointer(rebasing: field[..<colon])
    let value = UnsafeRawBufferPointer(rebasing: field[(colon + 1)...])
    request.receive(name: name, value: value, methods: methods)
    response.receive(name: name, value: value)
  }
  _ = request.refusal
  _ = HeaderBlock.responseHeaders(request.metadata, request.encoding, request.acceptsGzip != nil)
  _ = response.refusal
  if let error = response.error { _ = HeaderBlock.trailers(error, response.metadata) }
}

private let methods = MethodTable(
  [], configuration: RPCServer.Configuration(address: .unix(path: "none")))

private func readTimeout(_ bytes: UnsafeRawBufferPointer) {
  guard let timeout = TimeoutHeader.parse(bytes) else { return }
  precondition(timeout >= .zero)
  guard let again = TimeoutHeader.parse(TimeoutHeader.format(timeout).utf8) else {
    preconditionFailure("a timeout we write is none")
  }
  precondition(again <= timeout, "a timeout grows on its way")
}

private func readPercent(_ bytes: UnsafeRawBufferPointer) {
  let text = PercentCoding.decode(bytes)
  precondition(PercentCoding.decode(PercentCoding.encode(text)) == text, "a message changes on its way")
}

private func readBase64(_ bytes: UnsafeRawBufferPointer) {
  precondition(Base64.decode(Base64.encode(bytes)) == Array(bytes), "a value changes on its way")
  _ = Base64.decode(bytes)
}

private func readDetails(_ bytes: UnsafeRawBufferPointer) {
  var error = RPCError(.unknown, "")
  StatusDetails.decode(Array(bytes), into: &error)
  // Somebody may throw on what he was answered.
  let shortened = error.shortened
  guard let encoded = StatusDetails.encode(shortened) else { return }
  precondition(encoded.count <= RPCError.maxDetailsBytes, "details are over the limit")
  var again = RPCError(.unknown, "")
  StatusDetails.decode(encoded, into: &again)
  precondition(again == shortened, "details change on their way")
}
