internal import CNghttp2

extension HTTP2Connection {
  func makeSession() -> OpaquePointer? {
    var option: OpaquePointer?
    guard nghttp2_option_new(&option) == 0 else { return nil }
    defer { nghttp2_option_del(option) }
    nghttp2_option_set_no_auto_window_update(option, 1)
    nghttp2_option_set_no_closed_streams(option, 1)
    // White space around a value is against the rules, and what many a peer's status message ends with: that must not
    // cost the call. Whoever reads the value takes it off.
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1)
    nghttp2_option_set_max_outbound_ack(option, HTTP2Configuration.maxOutboundAcks)
    // Out of the way of our own count, which goes on during a drain and knows how long a stream was open, and whether it
    // still was: nghttp2 would end the connection of a client that only confirms what we have ended.
    nghttp2_option_set_stream_reset_rate_limit(option, .max, .max)

    var session: OpaquePointer?
    let user = Unmanaged.passUnretained(self).toOpaque()
    let callbacks = SessionCallbacks.shared.pointer
    let result =
      switch role {
      case .server: nghttp2_session_server_new2(&session, callbacks, user, option)
      case .client: nghttp2_session_client_new2(&session, callbacks, user, option)
      }
    guard result == 0, let session else { return nil }

    var settings = [
      nghttp2_settings_entry(
        settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
        value: UInt32(configuration.streamWindowBytes)),
      nghttp2_settings_entry(
        settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
        value: UInt32(configuration.maxHeaderListBytes)),
    ]
    switch role {
    case .server:
      settings.append(
        nghttp2_settings_entry(
          settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
          value: UInt32(configuration.maxConcurrentStreams)))
      settings.append(
        nghttp2_settings_entry(
          settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1))
    case .client:
      settings.append(
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
    }
    _ = nghttp2_submit_settings(session, 0, settings, settings.count)
    _ = nghttp2_session_set_local_window_size(session, 0, 0, Int32(configuration.connectionWindowBytes))
    return session
  }
}
