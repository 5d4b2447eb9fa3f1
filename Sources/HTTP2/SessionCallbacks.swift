internal import CNghttp2

/// The one table of callbacks all sessions share. Each finds its connection in the user data and its stream in
/// the stream's user data; what happens then is written in `HTTP2Connection` and `HTTP2Stream`.
final class SessionCallbacks: @unchecked Sendable {
  static let shared = SessionCallbacks()

  /// Written once, in `init`.
  let pointer: OpaquePointer?

  private init() {
    var pointer: OpaquePointer?
    guard nghttp2_session_callbacks_new(&pointer) == 0 else {
      self.pointer = nil
      return
    }
    self.pointer = pointer

    nghttp2_session_callbacks_set_on_begin_headers_callback(pointer) { _, frame, user in
      guard let frame, let user else { return 0 }
      let connection = SessionCallbacks.connection(user)
      if connection.role == .server, frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
        connection.accept(id: frame.pointee.hd.stream_id)
      }
      return 0
    }

    nghttp2_session_callbacks_set_on_header_callback(pointer) {
      session, frame, name, nameCount, value, valueCount, _, user in
      guard let frame, let user, let stream = SessionCallbacks.borrowed(session, frame.pointee.hd.stream_id)
      else { return 0 }
      return stream._withUnsafeGuaranteedRef { stream in
        // nghttp2 advertises the limit of the header list but does not enforce it.
        guard stream.countHeader(nameCount + valueCount + 32) else {
          return SessionCallbacks.headerListIsTooLong(stream, SessionCallbacks.connection(user))
        }
        stream.delegate?.received(
          name: UnsafeRawBufferPointer(start: name, count: nameCount),
          value: UnsafeRawBufferPointer(start: value, count: valueCount))
        return 0
      }
    }

    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(pointer) { session, _, id, bytes, count, _ in
      _ = nghttp2_session_consume_connection(session, count)
      // Or the stream went away while its data was under way.
      guard let stream = SessionCallbacks.borrowed(session, id) else { return 0 }
      stream._withUnsafeGuaranteedRef { stream in
        stream.hold(count)
        stream.delegate?.received(data: UnsafeRawBufferPointer(start: bytes, count: count))
      }
      return 0
    }

    nghttp2_session_callbacks_set_on_frame_recv_callback(pointer) { session, frame, user in
      guard let frame, let user else { return 0 }
      return Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { connection in
        SessionCallbacks.received(frame, connection, session)
        // The rest of what was read is not looked at.
        return connection.isTerminating ? NGHTTP2_ERR_CALLBACK_FAILURE.rawValue : 0
      }
    }

    nghttp2_session_callbacks_set_on_frame_send_callback(pointer) { session, frame, user in
      guard let frame, let user else { return 0 }
      Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { connection in
        SessionCallbacks.sent(frame, connection, session)
      }
      return 0
    }

    nghttp2_session_callbacks_set_on_frame_not_send_callback(pointer) { _, frame, error, user in
      guard let frame, let user, frame.pointee.hd.type == UInt8(NGHTTP2_HEADERS.rawValue) else { return 0 }
      switch error {
      case NGHTTP2_ERR_STREAM_CLOSED.rawValue, NGHTTP2_ERR_STREAM_CLOSING.rawValue,
        NGHTTP2_ERR_START_STREAM_NOT_ALLOWED.rawValue:
        break  // The stream has ended, or nghttp2 ends it.
      default:
        SessionCallbacks.connection(user).headersNotSent(
          frame.pointee.hd.stream_id, isRequest: frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST)
      }
      return 0
    }

    nghttp2_session_callbacks_set_on_stream_close_callback(pointer) { session, id, code, user in
      guard let user, let stream = SessionCallbacks.stream(session, id) else { return 0 }
      SessionCallbacks.connection(user).streamClosed(stream, HTTP2ErrorCode(rawValue: code))
      return 0
    }

    nghttp2_session_callbacks_set_send_data_callback(pointer) { _, _, head, length, source, user in
      guard let head, let user, let stream = source?.pointee.ptr else {
        return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
      }
      return Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { connection in
        Unmanaged<HTTP2Stream>.fromOpaque(stream)._withUnsafeGuaranteedRef { stream in
          connection.moveFrame(of: stream, head: head, length: length)
        }
        // Or it would go on with all that the windows allow.
        return connection.hasFullBatch ? NGHTTP2_ERR_PAUSE.rawValue : 0
      }
    }
  }

  private static func headerListIsTooLong(_ stream: HTTP2Stream, _ connection: HTTP2Connection) -> Int32 {
    if connection.role == .server {
      connection.terminate(.enhanceYourCalm, reason: "header list far over its limit")
      return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
    }
    // One answer with too much to say must not take the other calls of the connection with it. The failure
    // makes nghttp2 decode the rest of the list, as compression demands, without showing it to us.
    stream.reset(.enhanceYourCalm)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
  }

  private static func received(
    _ frame: UnsafePointer<nghttp2_frame>, _ connection: HTTP2Connection, _ session: OpaquePointer?
  ) {
    let head = frame.pointee.hd
    let endStream = head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    let isAck = head.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
    switch UInt32(head.type) {
    case NGHTTP2_HEADERS.rawValue:
      borrowed(session, head.stream_id)?._withUnsafeGuaranteedRef { stream in
        let trailing = stream.hadHeaders
        stream.hadHeaders = true
        stream.headerListEnded()
        stream.delegate?.headersEnded(trailing: trailing)
        if endStream { end(stream) }
      }
    case NGHTTP2_DATA.rawValue:
      // The chunk callback does not know the end: a frame may come in several chunks or none.
      if endStream { borrowed(session, head.stream_id)?._withUnsafeGuaranteedRef { end($0) } }
    case NGHTTP2_SETTINGS.rawValue:
      if !isAck { connection.settingsReceived() }
    case NGHTTP2_PING.rawValue:
      guard isAck else { return connection.pingReceived() }
      withUnsafeBytes(of: frame.pointee.ping.opaque_data) { connection.pingAcknowledged($0) }
    case NGHTTP2_RST_STREAM.rawValue:
      connection.resetReceived(stream(session, head.stream_id))
    case NGHTTP2_GOAWAY.rawValue:
      let goAway = frame.pointee.goaway
      connection.goAwayReceived(HTTP2ErrorCode(rawValue: goAway.error_code), debug: debug(goAway))
    default:
      break
    }
  }

  private static func sent(
    _ frame: UnsafePointer<nghttp2_frame>, _ connection: HTTP2Connection, _ session: OpaquePointer?
  ) {
    let head = frame.pointee.hd
    switch UInt32(head.type) {
    case NGHTTP2_HEADERS.rawValue:
      connection.limits.sentHeaders()
      if connection.role == .client { connection.lastSentStreamID = head.stream_id }
      endSent(head, connection, session)
    case NGHTTP2_DATA.rawValue:
      endSent(head, connection, session)
    case NGHTTP2_RST_STREAM.rawValue:
      connection.resetSent(HTTP2ErrorCode(rawValue: frame.pointee.rst_stream.error_code))
    case NGHTTP2_GOAWAY.rawValue:
      let goAway = frame.pointee.goaway
      connection.goAwaySent(HTTP2ErrorCode(rawValue: goAway.error_code), debug: debug(goAway))
    default:
      break
    }
  }

  /// The call is over but the client still sends: tell it to stop, without calling it an error (RFC 9113, 8.1). Earlier the
  /// RST would overtake the response.
  private static func endSent(
    _ head: nghttp2_frame_hd, _ connection: HTTP2Connection, _ session: OpaquePointer?
  ) {
    guard head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0, connection.role == .server,
      let stream = stream(session, head.stream_id), !stream.inboundEnded
    else { return }
    stream.reset(.noError)
  }

  /// The words that go with a GOAWAY, as many as fit into a line of a log.
  private static func debug(_ goAway: nghttp2_goaway) -> String {
    let bytes = UnsafeBufferPointer(start: goAway.opaque_data, count: min(goAway.opaque_data_len, 128))
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func end(_ stream: HTTP2Stream) {
    stream.inboundEnded = true
    stream.delegate?.inboundEnded()
  }

  private static func connection(_ user: UnsafeMutableRawPointer) -> HTTP2Connection {
    Unmanaged.fromOpaque(user).takeUnretainedValue()
  }

  /// The stream without a count of its own, for what happens several times in every call: the connection keeps it
  /// until `on_stream_close`, and nothing below a callback closes streams.
  private static func borrowed(_ session: OpaquePointer?, _ id: Int32) -> Unmanaged<HTTP2Stream>? {
    nghttp2_session_get_stream_user_data(session, id).map { Unmanaged.fromOpaque($0) }
  }

  private static func stream(_ session: OpaquePointer?, _ id: Int32) -> HTTP2Stream? {
    guard let pointer = nghttp2_session_get_stream_user_data(session, id) else { return nil }
    return Unmanaged.fromOpaque(pointer).takeUnretainedValue()
  }
}
